//! HTTP: a form, and files in, an archive out. HTTP is that of the crate edge-http, forms are those of
//! nostd-multipart.
//!
//! | | |
//! |---|---|
//! | `GET /` | a form |
//! | `POST /zip` | the files of the request come back as an archive, while they come in |
//! | `POST /zip/WORD` | the same, but the archive is the answer to |
//! | `GET /zip/WORD` | |
//!
//! One task has one connection. It reads a piece, compresses it, and writes what has come of it: when
//! the archive is not taken, nothing more is read, TCP's window closes, and the sender has to wait.

use alloc::rc::Rc;
use alloc::string::String;
use alloc::vec::Vec;
use alloc::{format, vec};
use core::cell::Cell;
use core::time::Duration;

use edge_http::io::{Body, SendBody};
use edge_http::{ConnectionType, Method, RequestHeaders, ResponseHeaders};
use embedded_io_async::{Read, Write};
use mnet::aio::{TcpListener, TcpStream};
use mnet::tasks::yield_now;
use mnet::{Net, Platform, TcpFailure};
use nostd_multipart::{Event, Parser, content_disposition};

use crate::archive::{Archive, Refused};
use crate::meeting::Meeting;
use crate::patient::Patient;

/// Uploads at once: a compressor takes a third of a MiB. Further ones are told to come back.
pub const MAX_UPLOADS: usize = 16;

/// Bytes of a request's head; more is refused.
const HEAD: usize = 4096;
/// Bytes of a head's lines, and lines, of a file in a form.
const LINE: usize = 1024;
const LINES: usize = 16;
/// Bytes of an upload that are read together.
const PIECE: usize = 16 << 10;
/// How long somebody who is refused may go on sending, so that he reads why.
const FAREWELL: Duration = Duration::from_secs(2);

const FORM: &str = include_str!("form.html");

type Failure = edge_http::io::Error<TcpFailure>;

/// Why an upload ended early.
enum Broken {
    /// The connection that it came from.
    Sender(Failure),
    /// The connection that the archive goes to.
    Taker(Failure),
    /// It is not a form, or ends in the middle of one.
    Form,
    /// It has too many files.
    TooMany,
}

/// What all clients share.
struct Service<P: Platform> {
    net: Net<P>,
    patience: Duration,
    uploads: Cell<usize>,
    meeting: Meeting<Taker<P>>,
}

/// A client that waits for an archive.
struct Taker<P: Platform> {
    stream: TcpStream<P>,
    http11: bool,
}

/// What becomes of a connection after a request.
enum Next {
    Another,
    Close,
    /// It gets the archive of the upload with this word.
    Wait {
        word: String,
        http11: bool,
    },
}

/// Serves everybody. A client that we wait for may be silent for as long as `patience`.
///
/// # Errors
/// The listener is gone.
pub async fn serve<P: Platform + 'static>(
    net: &Net<P>,
    listeners: impl IntoIterator<Item = TcpListener<P>>,
    patience: Duration,
) -> Result<(), TcpFailure> {
    let service = Rc::new(Service {
        net: net.clone(),
        patience,
        uploads: Cell::new(0),
        meeting: Meeting::new(MAX_UPLOADS),
    });
    let doors = listeners.into_iter().map(|listener| {
        let service = Rc::clone(&service);
        net.spawn(async move { service.accept(listener).await })
    });
    for door in doors.collect::<Vec<_>>() {
        door.await?;
    }
    Ok(())
}

/// One of the uploads that there may be at once, for as long as it is held.
struct Place<'a>(&'a Cell<usize>);

impl<'a> Place<'a> {
    fn take(uploads: &'a Cell<usize>) -> Option<Self> {
        (uploads.get() < MAX_UPLOADS).then(|| {
            uploads.set(uploads.get() + 1);
            Self(uploads)
        })
    }
}

impl Drop for Place<'_> {
    fn drop(&mut self) {
        self.0.set(self.0.get() - 1);
    }
}

impl<P: Platform + 'static> Service<P> {
    fn patient<'a>(&'a self, stream: &'a TcpStream<P>) -> Patient<'a, P> {
        Patient {
            net: &self.net,
            stream,
            patience: self.patience,
        }
    }

    async fn accept(self: Rc<Self>, listener: TcpListener<P>) -> Result<(), TcpFailure> {
        loop {
            let stream = listener.accept().await?;
            let service = Rc::clone(&self);
            let client = async move { service.client(stream).await };
            self.net.spawn(client).detach();
        }
    }

    /// Serves one client until it leaves, is too slow, or makes no sense.
    async fn client(&self, mut stream: TcpStream<P>) {
        let mut buffer = vec![0; HEAD];
        loop {
            // What arrives together is fetched together: the parser asks for single bytes.
            match self.net.timeout(self.patience, stream.fill_buf()).await {
                Ok(Ok([_, ..])) => {}
                _ => return,
            }
            match self.answer(&mut buffer, &stream).await {
                Ok(Next::Another) => {}
                Ok(Next::Close) => return self.part(stream).await,
                Ok(Next::Wait { word, http11 }) => {
                    return self.wait(&word, Taker { stream, http11 }).await;
                }
                // Nobody is there, or nobody who could be told.
                Err(Failure::Io(_)) => return stream.abort(),
                Err(_) => {
                    let text = b"HTTP/1.1 400 Bad Request\r\nConnection: close\r\n\r\n";
                    let _ = self.patient(&stream).write_all(text).await;
                    return self.part(stream).await;
                }
            }
        }
    }

    /// Ends a connection. A reset, which data that nobody reads would cause, could overtake our last
    /// words (RFC 9112 §9.6).
    async fn part(&self, stream: TcpStream<P>) {
        if stream.shutdown().is_ok() {
            let mut piece = [0; 1024];
            let rest = async { while let Ok(1..) = stream.read(&mut piece).await {} };
            let _ = self.net.timeout(FAREWELL, rest).await;
        }
    }

    /// Holds a client until the upload comes whose archive it gets. That answers it; here only the
    /// time is looked after.
    async fn wait(&self, word: &str, taker: Taker<P>) {
        let refused = match self.meeting.wait(word, taker) {
            Ok(()) => {
                self.net.sleep(self.patience).await;
                self.meeting.take(word).ok_or(())
            }
            Err(taker) => Ok(taker),
        };
        if let Ok(Taker { stream, http11 }) = refused {
            let mut io = self.patient(&stream);
            let text = "There is no such upload.\n";
            let _ = respond(&mut io, http11, 404, "text/plain", text).await;
            self.part(stream).await;
        }
    }

    /// Answers one request.
    async fn answer(&self, buffer: &mut [u8], stream: &TcpStream<P>) -> Result<Next, Failure> {
        let mut request = RequestHeaders::<32>::new();
        let mut input = self.patient(stream);
        let mut output = self.patient(stream);
        let (rest, read) = request.receive(buffer, &mut input, true).await?;
        let (connection, body) = request.resolve()?;
        let mut body = Body::new(body, rest, read, input);
        let http11 = request.http11;
        let word = request.path.strip_prefix("/zip/");
        let (status, kind, text) = match (request.method, request.path, word) {
            (Method::Get, "/", _) => (200, "text/html; charset=utf-8", FORM.into()),
            (Method::Get, _, Some(word)) => {
                return Ok(Next::Wait {
                    word: word.into(),
                    http11,
                });
            }
            (Method::Post, "/zip", _) | (Method::Post, _, Some(_)) => {
                let form = request.headers.content_type().unwrap_or_default();
                let Ok(parser) = Parser::from_content_type(form.as_bytes()) else {
                    let text = "A form with files is wanted: multipart/form-data.\n";
                    respond(&mut output, http11, 415, "text/plain", text).await?;
                    return Ok(Next::Close);
                };
                let Some(place) = Place::take(&self.uploads) else {
                    let text = "There are too many uploads. Come back later.\n";
                    respond(&mut output, http11, 503, "text/plain", text).await?;
                    return Ok(Next::Close);
                };
                if request.headers.get("Expect").is_some() {
                    let go_on = b"HTTP/1.1 100 Continue\r\n\r\n";
                    output.write_all(go_on).await.map_err(Failure::Io)?;
                }
                let Some(word) = word else {
                    let told = self.upload(&mut body, parser, &mut output, http11, connection);
                    let close = match told.await {
                        Ok((close, _)) => close,
                        Err(Broken::Sender(failure) | Broken::Taker(failure)) => {
                            return Err(failure);
                        }
                        // The answer has begun. That it breaks off is all that can be said.
                        Err(Broken::Form | Broken::TooMany) => {
                            return Err(Failure::Io(TcpFailure::Shutdown));
                        }
                    };
                    drop(place);
                    skip(&mut body).await?;
                    let close = close || body.needs_close();
                    return Ok(if close { Next::Close } else { Next::Another });
                };
                let answer = self.hand_over(&mut body, parser, word).await?;
                drop(place);
                answer
            }
            _ => (404, "text/plain", String::from("There is no such page.\n")),
        };
        skip(&mut body).await?;
        let close = respond(&mut output, http11, status, kind, &text).await?
            || connection == ConnectionType::Close
            || body.needs_close();
        Ok(if close { Next::Close } else { Next::Another })
    }

    /// Gives the archive of an upload to the client that waits for it. What its sender is told.
    async fn hand_over<R: Read<Error = Failure>>(
        &self,
        body: &mut R,
        parser: Parser<'_, LINE, LINES>,
        word: &str,
    ) -> Result<(u16, &'static str, String), Failure> {
        let met = self
            .net
            .timeout(self.patience, self.meeting.meet(word))
            .await;
        let Ok(Taker { stream, http11 }) = met else {
            return Ok((409, "text/plain", "Nobody asks for the archive.\n".into()));
        };
        let mut output = self.patient(&stream);
        let close = ConnectionType::Close;
        let (status, text) = match self.upload(body, parser, &mut output, http11, close).await {
            Ok((_, files)) => {
                self.part(stream).await;
                return Ok((200, "text/plain", format!("{files} files\n")));
            }
            Err(Broken::Sender(failure)) => {
                stream.abort();
                return Err(failure);
            }
            Err(Broken::Taker(_)) => (409, "Nobody takes the archive any more.\n"),
            Err(Broken::Form) => (400, "This is not a form.\n"),
            Err(Broken::TooMany) => (413, "These are too many files.\n"),
        };
        stream.abort();
        Ok((status, "text/plain", text.into()))
    }

    /// Reads a form and writes the archive of its files. Whether the connection has to be closed
    /// then, and how many files there were.
    async fn upload<R: Read<Error = Failure>, W: Write<Error = TcpFailure>>(
        &self,
        body: &mut R,
        mut parser: Parser<'_, LINE, LINES>,
        mut output: W,
        http11: bool,
        connection: ConnectionType,
    ) -> Result<(bool, usize), Broken> {
        let mut head = ResponseHeaders::<8>::new();
        head.http11 = http11;
        head.reason = Some("OK");
        head.headers.set("Content-Type", "application/zip");
        let name = "attachment; filename=\"files.zip\"";
        head.headers.set("Content-Disposition", name);
        let sent = head.send(connection, true, &mut output).await;
        let (connection, kind) = sent.map_err(Broken::Taker)?;
        let mut output = SendBody::new(kind, output);

        let mut archive = Archive::new(&mut output);
        let mut piece = vec![0; PIECE];
        let (mut have, mut end) = (0, false);
        let mut file = None;
        'form: loop {
            let mut used = 0;
            loop {
                let rest = piece.get(used..have).unwrap_or_default();
                let (taken, event) = parser.parse(rest, end).map_err(|_| Broken::Form)?;
                used += taken;
                match event {
                    Some(Event::PartStart) => file = None,
                    Some(Event::Header { name, value })
                        if name.eq_ignore_ascii_case(b"Content-Disposition") =>
                    {
                        file = file_name(value);
                    }
                    Some(Event::HeadersEnd) => {
                        // A field that is not a file is not in the archive.
                        if let Some(name) = &file {
                            archive.begin(name).await.map_err(|refused| match refused {
                                Refused::TooMany => Broken::TooMany,
                                Refused::Output(failure) => Broken::Taker(failure),
                            })?;
                        }
                    }
                    Some(Event::Data(data)) if file.is_some() => {
                        archive.append(data).await.map_err(Broken::Taker)?;
                    }
                    Some(Event::PartEnd) if file.is_some() => {
                        archive.end().await.map_err(Broken::Taker)?;
                    }
                    Some(Event::Finished) => break 'form,
                    Some(_) => {}
                    // It wants more than there is.
                    None if taken == 0 => break,
                    None => {}
                }
            }
            piece.copy_within(used..have, 0);
            have -= used;
            // Others have their turn, and what was written leaves.
            yield_now().await;
            let room = piece.get_mut(have..).unwrap_or_default();
            let read = body.read(room).await.map_err(Broken::Sender)?;
            have += read;
            end = read == 0;
        }
        let files = archive.finish().await.map_err(Broken::Taker)?;
        output.finish().await.map_err(Broken::Taker)?;
        let close = connection == ConnectionType::Close || output.needs_close();
        Ok((close, files))
    }
}

/// The name of the file in a part of a form, if it has one.
fn file_name(disposition: &[u8]) -> Option<String> {
    let disposition = content_disposition(disposition).ok()?;
    let mut name = [0; LINE];
    let name = disposition.filename()?.decode_into(&mut name)?;
    Some(String::from_utf8_lossy(name).into_owned())
}

/// Reads what is left of a request.
async fn skip<R: Read<Error = Failure>>(body: &mut R) -> Result<(), Failure> {
    let mut piece = [0; 1024];
    while body.read(&mut piece).await? > 0 {}
    Ok(())
}

/// An answer that is there as a whole. Whether the connection has to be closed then.
async fn respond<W: Write<Error = TcpFailure>>(
    output: &mut W,
    http11: bool,
    status: u16,
    kind: &str,
    text: &str,
) -> Result<bool, Failure> {
    let len = format!("{}", text.len());
    let mut head = ResponseHeaders::<8>::new();
    head.http11 = http11;
    head.code = status;
    head.headers.set("Content-Type", kind);
    head.headers.set("Content-Length", &len);
    let connection = if status == 200 {
        ConnectionType::KeepAlive
    } else {
        ConnectionType::Close
    };
    let (connection, _) = head.send(connection, true, &mut *output).await?;
    output
        .write_all(text.as_bytes())
        .await
        .map_err(Failure::Io)?;
    Ok(connection == ConnectionType::Close)
}
