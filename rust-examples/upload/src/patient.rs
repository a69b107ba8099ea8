//! A connection whose peer must not be silent for long, for readers and writers of
//! `embedded-io-async`.

use core::time::Duration;

use embedded_io_async::{ErrorType, Read, Write};
use mnet::aio::TcpStream;
use mnet::{Net, Platform, TcpFailure};

/// A connection that fails with [`TcpFailure::TimeOver`] when we wait for its peer for so long.
pub(crate) struct Patient<'a, P: Platform> {
    pub(crate) net: &'a Net<P>,
    pub(crate) stream: &'a TcpStream<P>,
    pub(crate) patience: Duration,
}

impl<P: Platform> ErrorType for Patient<'_, P> {
    type Error = TcpFailure;
}

impl<P: Platform> Read for Patient<'_, P> {
    async fn read(&mut self, buffer: &mut [u8]) -> Result<usize, TcpFailure> {
        let read = self.net.timeout(self.patience, self.stream.read(buffer));
        read.await.unwrap_or(Err(TcpFailure::TimeOver))
    }
}

impl<P: Platform> Write for Patient<'_, P> {
    async fn write(&mut self, data: &[u8]) -> Result<usize, TcpFailure> {
        let written = self.net.timeout(self.patience, self.stream.write(data));
        written.await.unwrap_or(Err(TcpFailure::TimeOver))
    }

    async fn flush(&mut self) -> Result<(), TcpFailure> {
        Ok(())
    }
}
