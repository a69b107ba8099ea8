//! The service: a request is a line, and so is each answer.
//!
//! | Request | Answer |
//! |---|---|
//! | `SET KEY VALUE` | `OK`, when it is on the disk |
//! | `GET KEY` | `VALUE`, or `NONE` |
//! | `DEL KEY` | `OK`, when it is on the disk |
//! | `LIST` | `KEY VALUE` for each, in the order of the keys, and `END` |
//!
//! A key has at most 64 bytes and no space, a value at most 1024 and no line feed.

use alloc::rc::Rc;
use alloc::vec::Vec;
use alloc::{format, vec};
use core::time::Duration;

use ekv::config::{MAX_KEY_SIZE, MAX_VALUE_SIZE};
use ekv::{ReadError, WriteError};
use mnet::aio::{TcpListener, TcpStream};
use mnet::{Net, Platform, TcpFailure};

use crate::disk::Database;

/// Longest request.
const LINE: usize = MAX_KEY_SIZE + MAX_VALUE_SIZE + 8;
/// How long a client may be silent.
const PATIENCE: Duration = Duration::from_secs(300);

/// Serves everybody.
///
/// # Errors
/// The listener is gone.
pub async fn serve<P: Platform + 'static>(
    net: &Net<P>,
    listener: TcpListener<P>,
    database: Database,
) -> Result<(), TcpFailure> {
    let database = Rc::new(database);
    loop {
        let stream = listener.accept().await?;
        let (net, database) = (net.clone(), Rc::clone(&database));
        let task = net.clone().spawn(async move {
            // What goes wrong with one client does not concern the others.
            let _ = client(&net, &database, stream).await;
        });
        task.detach();
    }
}

async fn client<P: Platform>(
    net: &Net<P>,
    database: &Database,
    mut stream: TcpStream<P>,
) -> Result<(), TcpFailure> {
    let mut line = Vec::with_capacity(LINE);
    loop {
        let silent = Err(TcpFailure::TimeOver);
        let piece = net.timeout(PATIENCE, stream.fill_buf()).await;
        let piece = piece.unwrap_or(silent)?;
        if piece.is_empty() {
            return Ok(());
        }
        let (len, complete) = match piece.iter().position(|byte| *byte == b'\n') {
            Some(place) => (place, true),
            None => (piece.len(), false),
        };
        if line.len() + len > LINE {
            stream.write_all(b"ERROR the line is too long\n").await?;
            return stream.close().await;
        }
        line.extend_from_slice(&piece[..len]);
        stream.consume(len + usize::from(complete));
        if complete {
            let request = line.strip_suffix(b"\r").unwrap_or(&line);
            let answered = answer(database, request, &stream);
            net.timeout(PATIENCE, answered)
                .await
                .unwrap_or(Err(TcpFailure::TimeOver))?;
            line.clear();
        }
    }
}

async fn answer<P: Platform>(
    database: &Database,
    request: &[u8],
    stream: &TcpStream<P>,
) -> Result<(), TcpFailure> {
    let mut words = request.splitn(3, |byte| *byte == b' ');
    let words = [words.next(), words.next(), words.next()];
    let answer = match words {
        [Some(b"GET"), Some(key), None] => get(database, key).await,
        [Some(b"SET"), Some(key), Some(value)] => change(database, key, Some(value)).await,
        [Some(b"DEL"), Some(key), None] => change(database, key, None).await,
        [Some(b"LIST"), None, None] => list(database, stream).await?,
        _ => b"ERROR not a request\n".to_vec(),
    };
    stream.write_all(&answer).await
}

async fn get(database: &Database, key: &[u8]) -> Vec<u8> {
    let mut value = vec![0; MAX_VALUE_SIZE + 1];
    let read = database.read_transaction().await;
    match read.read(key, &mut value[..MAX_VALUE_SIZE]).await {
        Ok(len) => {
            value.truncate(len);
            value.push(b'\n');
            value
        }
        Err(ReadError::KeyNotFound) => b"NONE\n".to_vec(),
        Err(error) => format!("ERROR {error:?}\n").into_bytes(),
    }
}

/// One write is one transaction: it is there as a whole after a crash, or not at all.
async fn change(database: &Database, key: &[u8], value: Option<&[u8]>) -> Vec<u8> {
    let written = async {
        let mut write = database.write_transaction().await;
        match value {
            Some(value) => write.write(key, value).await?,
            None => write.delete(key).await?,
        }
        Ok::<_, WriteError<_>>(write.commit().await)
    };
    match written.await {
        Ok(Ok(())) => b"OK\n".to_vec(),
        Ok(Err(error)) => format!("ERROR {error:?}\n").into_bytes(),
        Err(error) => format!("ERROR {error:?}\n").into_bytes(),
    }
}

/// One key after the other: what a client does not take keeps nobody from writing, since no
/// transaction is open while it is waited for.
async fn list<P: Platform>(
    database: &Database,
    stream: &TcpStream<P>,
) -> Result<Vec<u8>, TcpFailure> {
    let mut last: Option<Vec<u8>> = None;
    loop {
        let mut line = vec![0; MAX_KEY_SIZE + 1 + MAX_VALUE_SIZE + 1];
        let (key, value) = line.split_at_mut(MAX_KEY_SIZE + 1);
        let next = match next(database, last.as_deref(), key, value).await {
            Ok(next) => next,
            Err(error) => return Ok(error),
        };
        let Some((key_len, value_len)) = next else {
            return Ok(b"END\n".to_vec());
        };
        last = Some(key[..key_len].to_vec());
        let parts = [&key[..key_len], b" ", &value[..value_len], b"\n"];
        stream.write_all(&parts.concat()).await?;
    }
}

/// The first key behind another one, and its value.
async fn next(
    database: &Database,
    last: Option<&[u8]>,
    key: &mut [u8],
    value: &mut [u8],
) -> Result<Option<(usize, usize)>, Vec<u8>> {
    use core::ops::Bound;
    let read = database.read_transaction().await;
    let from = last.map_or(Bound::Unbounded, Bound::Excluded);
    let found = async {
        let mut cursor = read.read_range((from, Bound::Unbounded)).await?;
        Ok::<_, ekv::Error<_>>(cursor.next(key, value).await)
    };
    match found.await {
        Ok(Ok(found)) => Ok(found),
        Ok(Err(error)) => Err(format!("ERROR {error:?}\n").into_bytes()),
        Err(error) => Err(format!("ERROR {error:?}\n").into_bytes()),
    }
}
