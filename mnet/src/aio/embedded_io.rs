//! The traits of `embedded-io-async`.

use core::ops::Deref;

use embedded_io_async::{BufRead, ErrorType, Read, Write};

use super::{ReadHalf, TcpStream, WriteHalf};
use crate::error::TcpFailure;
use crate::platform::Platform;

impl<P: Platform> ErrorType for TcpStream<P> {
    type Error = TcpFailure;
}

impl<P: Platform> ErrorType for &TcpStream<P> {
    type Error = TcpFailure;
}

impl<P: Platform, S: Deref<Target = TcpStream<P>>> ErrorType for ReadHalf<S> {
    type Error = TcpFailure;
}

impl<P: Platform, S: Deref<Target = TcpStream<P>>> ErrorType for WriteHalf<S> {
    type Error = TcpFailure;
}

impl<P: Platform> Read for TcpStream<P> {
    async fn read(&mut self, buffer: &mut [u8]) -> Result<usize, TcpFailure> {
        Self::read(self, buffer).await
    }
}

impl<P: Platform> Read for &TcpStream<P> {
    async fn read(&mut self, buffer: &mut [u8]) -> Result<usize, TcpFailure> {
        TcpStream::read(self, buffer).await
    }
}

impl<P: Platform, S: Deref<Target = TcpStream<P>>> Read for ReadHalf<S> {
    async fn read(&mut self, buffer: &mut [u8]) -> Result<usize, TcpFailure> {
        self.stream().read(buffer).await
    }
}

impl<P: Platform> BufRead for TcpStream<P> {
    async fn fill_buf(&mut self) -> Result<&[u8], TcpFailure> {
        Self::fill_buf(self).await
    }

    fn consume(&mut self, n: usize) {
        Self::consume(self, n);
    }
}

/// What was written leaves when the task waits next, flushed or not.
impl<P: Platform> Write for TcpStream<P> {
    async fn write(&mut self, data: &[u8]) -> Result<usize, TcpFailure> {
        Self::write(self, data).await
    }

    async fn flush(&mut self) -> Result<(), TcpFailure> {
        Ok(())
    }
}

/// What was written leaves when the task waits next, flushed or not.
impl<P: Platform> Write for &TcpStream<P> {
    async fn write(&mut self, data: &[u8]) -> Result<usize, TcpFailure> {
        TcpStream::write(self, data).await
    }

    async fn flush(&mut self) -> Result<(), TcpFailure> {
        Ok(())
    }
}

/// What was written leaves when the task waits next, flushed or not.
impl<P: Platform, S: Deref<Target = TcpStream<P>>> Write for WriteHalf<S> {
    async fn write(&mut self, data: &[u8]) -> Result<usize, TcpFailure> {
        self.stream().write(data).await
    }

    async fn flush(&mut self) -> Result<(), TcpFailure> {
        Ok(())
    }
}
