//! A web server, wherever it runs: `examples/web.rs` has it on a TAP device, `rust-examples/web` in a
//! unikernel. HTTP is that of the crate edge-http, unchanged.

extern crate alloc;

use alloc::format;
use alloc::string::ToString;
use alloc::vec;
use core::time::Duration;

use edge_http::Method;
use edge_http::io::server::Connection;
use embedded_io_async::{Read, Write};
use mnet::aio::{TcpListener, TcpStream};
use mnet::{Net, Platform, TcpFailure};

/// How long a client may take for a request and for taking the answer, and between two requests.
const PATIENCE: Duration = Duration::from_secs(30);

/// Bytes of a request's head; more is refused.
const HEAD: usize = 4096;

/// Path, content type, content.
const FILES: &[(&str, &str, &[u8])] = &[
    ("/", "text/html", include_bytes!("index.html")),
    ("/style.css", "text/css", include_bytes!("style.css")),
];

type Failure = edge_http::io::Error<TcpFailure>;
type Request<'b, 's, P> = Connection<'b, &'s mut TcpStream<P>, 32>;

/// Answers one request. Whether the connection may stay open.
async fn answer<P: Platform>(
    buffer: &mut [u8],
    stream: &mut TcpStream<P>,
) -> Result<bool, Failure> {
    // What arrives together is fetched together: the parser asks for single bytes.
    if stream.fill_buf().await.map_err(Failure::Io)?.is_empty() {
        return Ok(false);
    }
    let mut request = Request::new(buffer, stream).await?;
    let (head, body) = request.split();
    let (method, path) = (head.method, head.path);
    if let (Method::Get, Some((_, kind, content))) =
        (method, FILES.iter().find(|(name, ..)| *name == path))
    {
        respond(&mut request, 200, kind, content).await?;
    } else if let (Method::Get, Some(name)) = (method, path.strip_prefix("/hello/")) {
        let text = format!("Hello, {name}!\n");
        respond(&mut request, 200, "text/plain", text.as_bytes()).await?;
    } else if (method, path) == (Method::Post, "/length") {
        let (mut len, mut piece) = (0, [0; 1024]);
        while let part @ 1.. = body.read(&mut piece).await? {
            len += part;
        }
        let text = format!("{len}\n");
        respond(&mut request, 200, "text/plain", text.as_bytes()).await?;
    } else {
        respond(&mut request, 404, "text/plain", b"There is no such page.\n").await?;
    }
    Ok(!request.needs_close())
}

async fn respond<P: Platform>(
    request: &mut Request<'_, '_, P>,
    status: u16,
    kind: &str,
    content: &[u8],
) -> Result<(), Failure> {
    let len = content.len().to_string();
    let headers = [("Content-Type", kind), ("Content-Length", &len)];
    request.initiate_response(status, None, &headers).await?;
    request.write_all(content).await?;
    request.complete().await
}

/// Serves one client until it leaves, is too slow, or makes no sense.
async fn client<P: Platform>(net: Net<P>, mut stream: TcpStream<P>) {
    let mut buffer = vec![0; HEAD];
    loop {
        let answered = net.timeout(PATIENCE, answer(&mut buffer, &mut stream));
        match answered.await {
            Ok(Ok(true)) => {}
            Ok(Ok(false)) => break,
            Ok(Err(Failure::Io(_))) | Err(_) => return,
            Ok(Err(_)) => {
                let text = b"HTTP/1.1 400 Bad Request\r\nConnection: close\r\n\r\n";
                let _ = net.timeout(PATIENCE, stream.write_all(text)).await;
                break;
            }
        }
    }
    let _ = net.timeout(PATIENCE, stream.close()).await;
}

/// Serves everybody.
pub(crate) async fn serve<P: Platform + 'static>(
    net: &Net<P>,
    listener: TcpListener<P>,
) -> Result<(), TcpFailure> {
    loop {
        let stream = listener.accept().await?;
        net.spawn(client(net.clone(), stream)).detach();
    }
}
