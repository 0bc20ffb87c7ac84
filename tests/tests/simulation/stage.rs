//! Worlds of idle machines, and the few things that most tests do with them.

use rt::net::{TcpListener, TcpStream};
use rt::sim::machine::MachineId;
use rt::sim::{Options, Simulation, World};
use rt::time::timeout;
use std::future::Future;
use std::io;
use std::sync::Arc;
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};

pub const SECOND: Duration = Duration::from_secs(1);
pub const MS: Duration = Duration::from_millis(1);

/// Runs `main` once for each of a few seeds.
pub fn simulate<F: Future<Output = ()> + 'static>(main: fn(Arc<World>) -> F) {
    for seed in 0..8 {
        run(seed, Options::default(), main);
    }
}

/// Runs `main` and gives what it gives.
pub fn run<T, F>(seed: u64, options: Options, main: impl FnOnce(Arc<World>) -> F + Send + 'static) -> T
where
    T: Send + 'static,
    F: Future<Output = T>,
{
    Simulation::run(seed, options, main).unwrap_or_else(|error| panic!("seed {seed}: {error}"))
}

/// Adds machine number `number`, on which nothing runs by itself.
pub fn idle(world: &World, number: u8) -> MachineId {
    let ip = [10, 0, 0, number].into();
    world.add_machine(&format!("machine-{number}"), ip, std::future::pending::<()>)
}

/// Runs `future` on a machine that stays alive meanwhile.
pub async fn on<T: Send + 'static>(
    world: &World,
    machine: MachineId,
    future: impl Future<Output = T> + Send + 'static,
) -> T {
    world.spawn_on(machine, future).await.expect("the machine lives")
}

/// Runs blocking disk work on a machine that stays alive meanwhile.
pub async fn work<T: Send + 'static>(
    world: &World,
    machine: MachineId,
    work: impl FnOnce() -> io::Result<T> + Send + 'static,
) -> T {
    on(world, machine, rt::task::blocking(work)).await.expect("the disk works")
}

/// Listens on a port of a machine; the listener is the machine's, wherever it is held.
pub async fn listen(world: &World, machine: MachineId, port: u16) -> TcpListener {
    on(world, machine, async move { TcpListener::bind(&format!("0.0.0.0:{port}")).await })
        .await
        .expect("a free port")
}

/// Connects from a machine to a listener.
pub async fn connect(world: &World, from: MachineId, to: &TcpListener) -> TcpStream {
    let address = to.local_addr().unwrap().to_string();
    on(world, from, async move { TcpStream::connect(&address).await }).await.expect("a way")
}

/// Two machines and both ends of a connection from the second to the first.
pub struct Pair {
    pub one: MachineId,
    pub other: MachineId,
    /// The end on `one`.
    pub at_one: TcpStream,
    /// The end on `other`.
    pub at_other: TcpStream,
    pub listener: TcpListener,
}

pub async fn pair(world: &World) -> Pair {
    let (one, other) = (idle(world, 1), idle(world, 2));
    let listener = listen(world, one, 7000).await;
    let at_other = connect(world, other, &listener).await;
    let (at_one, _) = listener.accept().await.unwrap();
    Pair { one, other, at_one, at_other, listener }
}

/// Sends `text` from one end and waits until it is at the other.
pub async fn pass(from: &mut TcpStream, to: &mut TcpStream, text: &str) {
    from.write_all(text.as_bytes()).await.unwrap();
    assert_eq!(heard(to, text.len()).await, text);
}

/// Reads `len` bytes of text within a minute.
pub async fn heard(stream: &mut TcpStream, len: usize) -> String {
    let mut bytes = vec![0; len];
    timeout(60 * SECOND, stream.read_exact(&mut bytes)).await.expect("nothing came").unwrap();
    String::from_utf8(bytes).unwrap()
}

/// True if nothing comes, no end and no error either, for `length`.
pub async fn silent(stream: &mut TcpStream, length: Duration) -> bool {
    timeout(length, stream.read_u8()).await.is_err()
}

/// How a read fails within a minute.
pub async fn read_failure(stream: &mut TcpStream) -> io::ErrorKind {
    let read = timeout(60 * SECOND, stream.read_u8()).await.expect("nothing came");
    read.expect_err("something came").kind()
}
