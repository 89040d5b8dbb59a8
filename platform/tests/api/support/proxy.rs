//! A TCP proxy that plays a dependency's bad days: away, silent, or losing its answers.

use std::{
    net::SocketAddr,
    sync::{Arc, Mutex},
};

use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
    select,
};
use tokio_util::sync::CancellationToken;

/// Whether a request's head, as it came off the wire, is the one whose answer is lost.
pub type Pick = fn(&str) -> bool;

#[derive(Clone, Copy)]
enum Mode {
    /// Everything passes.
    Open,
    /// Requests are taken and nothing ever comes back.
    Silent,
    /// The request passes, is done, and its answer is lost with the connection; then everything passes again.
    LosingAnswer(Pick),
}

/// A proxy in front of a server on this machine.
pub struct Proxy {
    addr: SocketAddr,
    target: SocketAddr,
    mode: Arc<Mutex<Mode>>,
    /// Ends the listener and all connections.
    up: Mutex<CancellationToken>,
}

impl Proxy {
    /// A proxy to this port, open.
    pub async fn to(port: u16) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let proxy = Self {
            addr: listener.local_addr().unwrap(),
            target: SocketAddr::from(([127, 0, 0, 1], port)),
            mode: Arc::new(Mutex::new(Mode::Open)),
            up: Mutex::default(),
        };
        proxy.serve(listener);
        proxy
    }

    pub fn port(&self) -> u16 {
        self.addr.port()
    }

    /// Breaks all connections and refuses new ones.
    pub fn close(&self) {
        self.up.lock().unwrap().cancel();
    }

    /// Serves again, whatever it did before.
    pub async fn open(&self) {
        self.close();
        *self.mode.lock().unwrap() = Mode::Open;
        // The listener of before may be about to go.
        let listener = loop {
            match TcpListener::bind(self.addr).await {
                Ok(listener) => break listener,
                Err(_) => tokio::task::yield_now().await,
            }
        };
        *self.up.lock().unwrap() = CancellationToken::new();
        self.serve(listener);
    }

    /// Takes requests from now on and answers none.
    pub fn fall_silent(&self) {
        *self.mode.lock().unwrap() = Mode::Silent;
    }

    /// Loses the answer to the next request that is picked.
    pub fn lose_the_answer_to(&self, pick: Pick) {
        *self.mode.lock().unwrap() = Mode::LosingAnswer(pick);
    }

    /// Whether a request was picked since.
    pub fn has_lost_an_answer(&self) -> bool {
        matches!(*self.mode.lock().unwrap(), Mode::Open)
    }

    fn serve(&self, listener: TcpListener) {
        let (target, mode, up) = (self.target, Arc::clone(&self.mode), self.up.lock().unwrap().clone());
        tokio::spawn(async move {
            while let Some(Ok((client, _))) = up.run_until_cancelled(listener.accept()).await {
                let (mode, up) = (Arc::clone(&mode), up.clone());
                tokio::spawn(async move { up.run_until_cancelled(forward(client, target, &mode)).await });
            }
        });
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        self.close();
    }
}

async fn forward(mut client: TcpStream, target: SocketAddr, mode: &Mutex<Mode>) -> std::io::Result<()> {
    let mut server = TcpStream::connect(target).await?;
    let (mut from_client, mut from_server) = (vec![0; 64 * 1024], vec![0; 64 * 1024]);
    let mut is_losing = false;
    loop {
        select! {
            read = client.read(&mut from_client) => {
                let read = read?;
                if read == 0 {
                    return Ok(());
                }
                is_losing |= picks(mode, &from_client[..read]);
                server.write_all(&from_client[..read]).await?;
            }
            read = server.read(&mut from_server) => {
                let read = read?;
                let is_silent = matches!(*mode.lock().unwrap(), Mode::Silent);
                match (read, is_losing, is_silent) {
                    // The answer is there, so what was asked is done.
                    (0, ..) | (_, true, _) => return Ok(()),
                    (_, _, true) => {}
                    _ => client.write_all(&from_server[..read]).await?,
                }
            }
        }
    }
}

/// Whether this is the request whose answer is to be lost; it is so once.
fn picks(mode: &Mutex<Mode>, request: &[u8]) -> bool {
    let mut mode = mode.lock().unwrap();
    let picked = matches!(*mode, Mode::LosingAnswer(pick) if pick(&String::from_utf8_lossy(request)));
    if picked {
        *mode = Mode::Open;
    }
    picked
}
