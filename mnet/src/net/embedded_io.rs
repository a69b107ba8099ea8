//! The traits of `embedded-io`, for sockets that block.

use embedded_io::{ErrorType, Read, ReadReady, Write, WriteReady};
use mnet_core::Readiness;

use super::TcpStream;
use crate::error::TcpFailure;
use crate::platform::Platform;

impl<P: Platform> ErrorType for TcpStream<P> {
    type Error = TcpFailure;
}

impl<P: Platform> ErrorType for &TcpStream<P> {
    type Error = TcpFailure;
}

impl<P: Platform> Read for TcpStream<P> {
    fn read(&mut self, buffer: &mut [u8]) -> Result<usize, TcpFailure> {
        Ok(Self::read(self, buffer)?)
    }
}

impl<P: Platform> Read for &TcpStream<P> {
    fn read(&mut self, buffer: &mut [u8]) -> Result<usize, TcpFailure> {
        Ok(TcpStream::read(self, buffer)?)
    }
}

impl<P: Platform> Write for TcpStream<P> {
    fn write(&mut self, data: &[u8]) -> Result<usize, TcpFailure> {
        Ok(self.write_some(data)?)
    }

    /// Sends what is queued, as far as the peer's window allows; does not wait for its arrival.
    fn flush(&mut self) -> Result<(), TcpFailure> {
        self.0.net.flush();
        Ok(())
    }
}

impl<P: Platform> Write for &TcpStream<P> {
    fn write(&mut self, data: &[u8]) -> Result<usize, TcpFailure> {
        Ok(self.write_some(data)?)
    }

    /// Sends what is queued, as far as the peer's window allows; does not wait for its arrival.
    fn flush(&mut self) -> Result<(), TcpFailure> {
        self.0.net.flush();
        Ok(())
    }
}

impl<P: Platform> ReadReady for TcpStream<P> {
    fn read_ready(&mut self) -> Result<bool, TcpFailure> {
        Ok(self.readiness().contains(Readiness::READABLE))
    }
}

impl<P: Platform> WriteReady for TcpStream<P> {
    fn write_ready(&mut self) -> Result<bool, TcpFailure> {
        Ok(self.readiness().contains(Readiness::WRITABLE))
    }
}
