//! The two arms: our world, and a bare madsim runtime.

use super::LATENCY;
use super::load::{Arm, Load, PORT, Round, ask, serve};
use rt::profile::allocations;
use rt::sim::net::Latency;
use rt::sim::{Options, Simulation};
use std::io;
use std::net::IpAddr;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::{Duration, Instant};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

/// Until every server listens.
const BOOT: Duration = Duration::from_millis(100);

fn server_ip(number: u64) -> IpAddr {
    // A handful of machines.
    [10, 0, 0, u8::try_from(number + 1).unwrap_or(u8::MAX)].into()
}

fn client_ip(number: u64) -> IpAddr {
    [10, 0, 1, u8::try_from(number + 1).unwrap_or(u8::MAX)].into()
}

/// The server that a client asks: never on the same pair of machines for all.
fn address_for(client: u64, load: Load) -> String {
    format!("{}:{PORT}", server_ip((client / load.machines + client) % load.machines))
}

/// The simulated world's sockets.
pub(super) struct Ours;

impl Arm for Ours {
    type Stream = rt::net::TcpStream;
    type Listener = rt::net::TcpListener;

    async fn bind(port: u16) -> io::Result<Self::Listener> {
        rt::net::TcpListener::bind(&format!("0.0.0.0:{port}")).await
    }

    async fn accept(listener: &Self::Listener) -> io::Result<Self::Stream> {
        Ok(listener.accept().await?.0)
    }

    async fn connect(address: &str) -> io::Result<Self::Stream> {
        rt::net::TcpStream::connect(address).await
    }

    fn spawn(future: impl Future<Output = ()> + Send + 'static) {
        drop(rt::task::spawn(future));
    }

    fn run(seed: u64, load: Load) -> anyhow::Result<Round> {
        let latency = Latency::Uniform { min: LATENCY.0, max: LATENCY.1 };
        let began = Instant::now();
        let options = Options { latency, ..Options::default() };
        let ran = Simulation::run(seed, options, move |world| async move {
            for number in 0..load.machines {
                let name = format!("server-{number}");
                world.add_machine(&name, server_ip(number), move || serve::<Ours>(load.work));
            }
            let place = |number| {
                let name = format!("client-{number}");
                world.add_machine(&name, client_ip(number), std::future::pending::<()>)
            };
            let machines: Vec<_> = (0..load.machines).map(place).collect();
            rt::time::sleep(BOOT).await;
            let (before, begin, events) = (allocations(), world.now_ns(), world.trace().count());
            let start = |client: u64| {
                let machine = machines[usize::try_from(client % load.machines).unwrap_or(0)];
                let asking = ask::<Ours>(load.work, address_for(client, load), load.requests_per_client());
                world.spawn_on(machine, asking)
            };
            let clients: Vec<_> = (0..load.clients).map(start).collect();
            for client in clients {
                client.await??;
            }
            let simulated = Duration::from_nanos(world.now_ns() - begin);
            let events = world.trace().count() - events;
            anyhow::Ok((simulated, allocations() - before, events))
        });
        let (simulated, allocations, events) = ran??;
        Ok(Round { wall: began.elapsed(), simulated, allocations, events })
    }
}

/// madsim's sockets.
pub(super) struct Madsim;

impl Arm for Madsim {
    type Stream = FlushedWhenDirty;
    type Listener = madsim::net::TcpListener;

    async fn bind(port: u16) -> io::Result<Self::Listener> {
        madsim::net::TcpListener::bind(("0.0.0.0", port)).await
    }

    async fn accept(listener: &Self::Listener) -> io::Result<Self::Stream> {
        Ok(FlushedWhenDirty { inner: listener.accept().await?.0, dirty: false })
    }

    async fn connect(address: &str) -> io::Result<Self::Stream> {
        let inner = madsim::net::TcpStream::connect(address).await?;
        Ok(FlushedWhenDirty { inner, dirty: false })
    }

    fn spawn(future: impl Future<Output = ()> + Send + 'static) {
        drop(madsim::task::spawn(future));
    }

    fn run(seed: u64, load: Load) -> anyhow::Result<Round> {
        let began = Instant::now();
        // A thread of its own, as ours.
        let thread = std::thread::Builder::new().name(format!("madsim-{seed}")).spawn(move || {
            let runtime = madsim::runtime::Runtime::with_seed_and_config(seed, madsim::Config::default());
            runtime.block_on(madsim_rounds(load))
        })?;
        let ran = thread.join().map_err(|_| anyhow::anyhow!("a panic in madsim's runtime"))?;
        let (simulated, allocations) = ran?;
        Ok(Round { wall: began.elapsed(), simulated, allocations, events: 0 })
    }
}

async fn madsim_rounds(load: Load) -> anyhow::Result<(Duration, u64)> {
    let handle = madsim::runtime::Handle::current();
    for number in 0..load.machines {
        let builder = handle.create_node().name(format!("server-{number}")).ip(server_ip(number));
        builder.init(move || serve::<Madsim>(load.work)).build();
    }
    let place = |number| handle.create_node().name(format!("client-{number}")).ip(client_ip(number)).build();
    let nodes: Vec<_> = (0..load.machines).map(place).collect();
    madsim::time::sleep(BOOT).await;
    let (before, begin) = (allocations(), madsim::time::Instant::now());
    let start = |client: u64| {
        let node = &nodes[usize::try_from(client % load.machines).unwrap_or(0)];
        node.spawn(ask::<Madsim>(load.work, address_for(client, load), load.requests_per_client()))
    };
    let clients: Vec<_> = (0..load.clients).map(start).collect();
    for client in clients {
        client.await??;
    }
    Ok((begin.elapsed(), allocations() - before))
}

/// Flushes only what was written.
pub(super) struct FlushedWhenDirty {
    inner: madsim::net::TcpStream,
    dirty: bool,
}

impl AsyncRead for FlushedWhenDirty {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.inner).poll_read(cx, buffer)
    }
}

impl AsyncWrite for FlushedWhenDirty {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        self.dirty = true;
        Pin::new(&mut self.inner).poll_write(cx, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        if std::mem::take(&mut self.dirty) {
            Pin::new(&mut self.inner).poll_flush(cx)
        } else {
            Poll::Ready(Ok(()))
        }
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.inner).poll_shutdown(cx)
    }
}
