//! One kept-alive connection that speaks as much HTTP/1.1 as the benchmark's servers do: answers with a length.

use std::{
    io::{self, Read, Write},
    net::{SocketAddr, TcpStream},
    time::Duration,
};

use serde_json::Value;

/// How long an answer may take.
const PATIENCE: Duration = Duration::from_secs(30);

/// A request, ready to be sent.
#[derive(Clone, Debug)]
pub struct Request(Vec<u8>);

impl Request {
    /// A GET with a bearer token.
    pub fn get(path: &str, token: &str) -> Self {
        Self::with("GET", path, token, "")
    }

    /// A POST of JSON with a bearer token.
    pub fn post(path: &str, token: &str, body: &Value) -> Self {
        let body = body.to_string();
        Self::with(
            "POST",
            path,
            token,
            &format!("content-type: application/json\r\ncontent-length: {}\r\n\r\n{body}", body.len()),
        )
    }

    fn with(method: &str, path: &str, token: &str, rest: &str) -> Self {
        let end = if rest.is_empty() { "\r\n" } else { rest };
        Self(
            format!("{method} {path} HTTP/1.1\r\nhost: 127.0.0.1\r\nauthorization: Bearer {token}\r\n{end}")
                .into_bytes(),
        )
    }
}

/// A connection and what was read from it.
pub struct Connection {
    stream: TcpStream,
    buffer: Vec<u8>,
}

impl Connection {
    /// Opens one.
    ///
    /// # Errors
    /// Nobody listens.
    pub fn open(to: SocketAddr) -> io::Result<Self> {
        let stream = TcpStream::connect_timeout(&to, PATIENCE)?;
        stream.set_nodelay(true)?;
        stream.set_read_timeout(Some(PATIENCE))?;
        stream.set_write_timeout(Some(PATIENCE))?;
        Ok(Self { stream, buffer: Vec::with_capacity(64 * 1024) })
    }

    /// Sends a request and reads the whole answer. Answers its status.
    ///
    /// # Errors
    /// The connection broke, or what came is no answer with a length. It must not be used again then.
    pub fn send(&mut self, request: &Request) -> io::Result<u16> {
        self.fetch(request).map(|(status, _)| status)
    }

    /// The same, with the answer's body.
    ///
    /// # Errors
    /// As [`send`](Self::send).
    pub fn fetch(&mut self, request: &Request) -> io::Result<(u16, &[u8])> {
        self.stream.write_all(&request.0)?;
        self.buffer.clear();
        let head = loop {
            // Four bytes of the end may have come before.
            let from = self.buffer.len().saturating_sub(3);
            self.read_some()?;
            if let Some(at) = self.buffer[from..].windows(4).position(|bytes| bytes == b"\r\n\r\n") {
                break from + at + 4;
            }
        };
        let (status, length) = parse(&self.buffer[..head]).ok_or_else(|| unexpected("is no answer with a length"))?;
        while self.buffer.len() < head + length {
            self.read_some()?;
        }
        if self.buffer.len() > head + length {
            return Err(unexpected("goes on behind its end"));
        }
        Ok((status, &self.buffer[head..]))
    }

    fn read_some(&mut self) -> io::Result<()> {
        let filled = self.buffer.len();
        self.buffer.resize(filled + 16 * 1024, 0);
        let read = self.stream.read(&mut self.buffer[filled..]);
        self.buffer.truncate(filled + read.as_ref().copied().unwrap_or_default());
        match read {
            Ok(0) => Err(io::ErrorKind::UnexpectedEof.into()),
            read => read.map(drop),
        }
    }
}

fn unexpected(what: &str) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, format!("what the server sent {what}"))
}

/// Status and length of the body.
fn parse(head: &[u8]) -> Option<(u16, usize)> {
    let head = std::str::from_utf8(head).ok()?;
    let mut lines = head.split("\r\n");
    let status = lines.next()?.strip_prefix("HTTP/1.1 ")?.get(..3)?.parse().ok()?;
    if status == 204 {
        return Some((status, 0));
    }
    let length = lines.find_map(|line| {
        let (name, value) = line.split_once(':')?;
        name.eq_ignore_ascii_case("content-length").then(|| value.trim().parse().ok())?
    })?;
    Some((status, length))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_s_status_and_length_are_read_however_the_header_is_written() {
        assert_eq!(parse(b"HTTP/1.1 200 OK\r\nA: b\r\nContent-Length: 12\r\n\r\n"), Some((200, 12)));
        assert_eq!(parse(b"HTTP/1.1 429 Too Many Requests\r\ncontent-length:7\r\n\r\n"), Some((429, 7)));
        assert_eq!(parse(b"HTTP/1.1 204 No Content\r\n\r\n"), Some((204, 0)));
        assert_eq!(parse(b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n"), None);
        assert_eq!(parse(b"SSH-2.0\r\n\r\n"), None);
    }
}
