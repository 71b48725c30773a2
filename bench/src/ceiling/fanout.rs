//! A bare fan-out server: plain tokio, one task a connection, hand-written frames, rooms with a ring; no actors. It has no
//! store, or commits what it fans out first, in groups, on a thread of the same process.
//!
//! A message is framed once and its bytes are shared. Whoever has frames queued writes them all in one call. Nothing that
//! a silent connection would keep is kept: it reads into one buffer that all share, and its queue is given back.

use std::cell::{Cell, RefCell};
use std::collections::{HashMap, VecDeque};
use std::future::poll_fn;
use std::io::{self, IoSlice, Write as _};
use std::path::PathBuf;
use std::rc::Rc;
use std::sync::mpsc::{SyncSender, sync_channel};
use std::task::{Context, Poll, Waker};

use clap::Args;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::mpsc::{UnboundedReceiver, unbounded_channel};

use super::store::{Row, commit_all};
use crate::native::{self, Asked};
use crate::{Failure, ws};

/// Entries that a room keeps for those who come back.
const RING: usize = 256;
/// Bytes that one read takes at most.
const READ_BYTES: usize = 64 * 1024;
/// Frames that one write hands to the kernel at most.
const SLICES: usize = 64;

/// Messages that may wait for the committing thread.
const WAITING: usize = 8_192;

/// What to serve.
#[derive(Clone, Debug, Args)]
pub struct Options {
    /// An empty folder for a database, where messages are committed before they are fanned out.
    #[arg(long, requires = "rooms")]
    data: Option<PathBuf>,
    /// The rooms of the database, numbered from 1.
    #[arg(long)]
    rooms: Option<i64>,
}

/// A frame's bytes, shared by all who are to get it.
type Frame = Rc<[u8]>;

/// A message that waits to be committed.
struct Pending {
    sender: Rc<Conn>,
    room: u64,
    reply: Frame,
    entry: Frame,
}

#[derive(Default)]
struct Room {
    last: u64,
    members: Vec<Rc<Conn>>,
    ring: VecDeque<Frame>,
}

#[derive(Default)]
struct Hub {
    rooms: RefCell<HashMap<u64, Room>>,
    scratch: RefCell<Vec<u8>>,
    /// The committing thread, where there is one.
    store: Option<SyncSender<Row<u64>>>,
    /// Messages that it has not committed, by their place among all messages.
    pending: RefCell<HashMap<u64, Pending>>,
    taken: Cell<u64>,
}

struct Conn {
    stream: TcpStream,
    room: Cell<u64>,
    queue: RefCell<VecDeque<Frame>>,
    /// Bytes of the first frame that are written.
    written: Cell<usize>,
    waker: RefCell<Option<Waker>>,
}

impl Conn {
    fn push(&self, frame: Frame) {
        let mut queue = self.queue.borrow_mut();
        if queue.is_empty()
            && let Some(waker) = &*self.waker.borrow()
        {
            waker.wake_by_ref();
        }
        queue.push_back(frame);
    }

    /// Writes what is queued; returns once nothing is left or the socket is full.
    fn flush(&self, cx: &mut Context<'_>) -> io::Result<()> {
        let mut queue = self.queue.borrow_mut();
        while !queue.is_empty() {
            if self.stream.poll_write_ready(cx)?.is_pending() {
                return Ok(());
            }
            let mut slices = [IoSlice::new(&[]); SLICES];
            let mut count = 0;
            for (slice, frame) in slices.iter_mut().zip(queue.iter()) {
                *slice = IoSlice::new(if count == 0 { &frame[self.written.get()..] } else { frame });
                count += 1;
            }
            let mut done = match self.stream.try_write_vectored(&slices[..count]) {
                Ok(n) => n + self.written.get(),
                Err(e) if e.kind() == io::ErrorKind::WouldBlock => continue,
                Err(e) => return Err(e),
            };
            while let Some(len) = queue.front().map(|frame| frame.len()).filter(|len| *len <= done) {
                done -= len;
                queue.pop_front();
            }
            self.written.set(done);
        }
        *queue = VecDeque::new();
        Ok(())
    }
}

impl Hub {
    /// Does what a client's message asks for.
    fn take(&self, conn: &Rc<Conn>, payload: &[u8]) {
        match native::asked(payload) {
            Some(Asked::Send { n, room: id, client_id, content }) => {
                let last = {
                    let mut rooms = self.rooms.borrow_mut();
                    let room = rooms.entry(id).or_default();
                    room.last += 1;
                    room.last
                };
                let reply = ws::server_frame(native::sent(n, id, last).as_bytes());
                let entry = ws::server_frame(&native::entry(id, last, client_id, content));
                let message = Pending { sender: conn.clone(), room: id, reply, entry };
                match &self.store {
                    None => self.fan_out(message),
                    Some(store) => {
                        let place = self.taken.replace(self.taken.get() + 1);
                        self.pending.borrow_mut().insert(place, message);
                        // The thread ends only with the process.
                        let _ = store.send(Row { room: id as i64, blob: place as usize, done: place });
                    }
                }
            }
            Some(Asked::Resume { n, room: id, seq }) => {
                let mut rooms = self.rooms.borrow_mut();
                let room = rooms.entry(id).or_default();
                conn.push(ws::server_frame(native::resumed(n, id, seq, room.last).as_bytes()));
                let missed = usize::try_from(room.last.saturating_sub(seq)).unwrap_or(usize::MAX).min(room.ring.len());
                for frame in room.ring.iter().skip(room.ring.len() - missed) {
                    conn.push(frame.clone());
                }
                conn.room.set(id);
                room.members.push(conn.clone());
            }
            None => {}
        }
    }

    /// Answers the sender, and queues the entry for every member.
    fn fan_out(&self, message: Pending) {
        message.sender.push(message.reply);
        let mut rooms = self.rooms.borrow_mut();
        let room = rooms.entry(message.room).or_default();
        for member in &room.members {
            member.push(message.entry.clone());
        }
        if room.ring.len() == RING {
            room.ring.pop_front();
        }
        room.ring.push_back(message.entry);
    }

    /// Fans out what has been committed, group by group.
    async fn fan_out_committed(&self, mut groups: UnboundedReceiver<Vec<u64>>) {
        while let Some(group) = groups.recv().await {
            for place in group {
                let message = self.pending.borrow_mut().remove(&place);
                if let Some(message) = message {
                    self.fan_out(message);
                }
            }
        }
    }

    fn leave(&self, conn: &Rc<Conn>) {
        if let Some(room) = self.rooms.borrow_mut().get_mut(&conn.room.get()) {
            room.members.retain(|member| !Rc::ptr_eq(member, conn));
        }
    }

    /// Reads and obeys what has come; an error ends the connection.
    fn read(&self, conn: &Rc<Conn>, pending: &mut Vec<u8>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let mut buf = self.scratch.borrow_mut();
        while conn.stream.poll_read_ready(cx)?.is_ready() {
            let kept = pending.len();
            buf[..kept].copy_from_slice(pending);
            let end = match conn.stream.try_read(&mut buf[kept..]) {
                Ok(0) => return Poll::Ready(Ok(())),
                Ok(n) => kept + n,
                Err(e) if e.kind() == io::ErrorKind::WouldBlock => continue,
                Err(e) => return Poll::Ready(Err(e)),
            };
            let mut at = 0;
            while let Some(head) = ws::header(&buf[at..end]).filter(|head| at + head.end() <= end) {
                let payload = &mut buf[at + head.start..at + head.end()];
                ws::unmask(payload, head.mask.unwrap_or_default());
                match head.opcode {
                    ws::TEXT => self.take(conn, payload),
                    ws::CLOSE => return Poll::Ready(Ok(())),
                    _ => {}
                }
                at += head.end();
            }
            // A new vector, so that a connection at rest keeps none.
            *pending = buf[at..end].to_vec();
        }
        Poll::Pending
    }
}

async fn upgrade(stream: &TcpStream) -> io::Result<()> {
    let mut request = Vec::new();
    while !request.ends_with(b"\r\n\r\n") {
        stream.readable().await?;
        match stream.try_read_buf(&mut request) {
            Ok(0) => return Err(io::ErrorKind::UnexpectedEof.into()),
            Ok(_) => {}
            Err(e) if e.kind() == io::ErrorKind::WouldBlock => {}
            Err(e) => return Err(e),
        }
    }
    let text = String::from_utf8_lossy(&request);
    let key = text.lines().find_map(|l| l.strip_prefix("Sec-WebSocket-Key: ")).unwrap_or_default();
    let answer = format!(
        "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Accept: {}\r\n\r\n",
        ws::accept(key)
    );
    // An empty socket takes a few hundred bytes whole.
    stream.writable().await?;
    stream.try_write(answer.as_bytes()).map(|_| ())
}

async fn serve(stream: TcpStream, hub: Rc<Hub>) {
    if stream.set_nodelay(true).is_err() || Box::pin(upgrade(&stream)).await.is_err() {
        return;
    }
    let conn = Rc::new(Conn {
        stream,
        room: Cell::new(0),
        queue: RefCell::default(),
        written: Cell::new(0),
        waker: RefCell::default(),
    });
    let mut pending = Vec::new();
    let result = poll_fn(|cx| {
        let known = conn.waker.borrow().as_ref().is_some_and(|w| w.will_wake(cx.waker()));
        if !known {
            *conn.waker.borrow_mut() = Some(cx.waker().clone());
        }
        let read = hub.read(&conn, &mut pending, cx);
        conn.flush(cx)?;
        read
    });
    // Whether it ended well or badly, it ended.
    let _ = result.await;
    hub.leave(&conn);
}

async fn accept(options: Options) -> Result<(), Failure> {
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    let mut hub = Hub { scratch: RefCell::new(vec![0; READ_BYTES]), ..Hub::default() };
    let mut committed = None;
    if let Some((data, rooms)) = options.data.zip(options.rooms) {
        let (store, rows) = sync_channel(WAITING);
        let (tell, groups) = unbounded_channel();
        std::thread::spawn(move || {
            let done = commit_all(&data, rooms, &rows, |group| {
                // Nobody listens any more when the process ends.
                let _ = tell.send(group.map(|row| row.done).collect());
            });
            if let Err(failure) = done {
                // Without its store it is no ceiling: whoever measures it sees it end.
                let _ = writeln!(io::stderr(), "{failure}");
                std::process::exit(1);
            }
        });
        (hub.store, committed) = (Some(store), Some(groups));
    }
    let hub = Rc::new(hub);
    if let Some(groups) = committed {
        let hub = hub.clone();
        tokio::task::spawn_local(async move { hub.fan_out_committed(groups).await });
    }
    writeln!(io::stdout(), "listening on http://{}", listener.local_addr()?)?;
    loop {
        let (stream, _) = listener.accept().await?;
        tokio::task::spawn_local(serve(stream, hub.clone()));
    }
}

/// Serves until it is killed.
///
/// # Errors
/// When it can't listen.
pub fn main(options: Options) -> Result<(), Failure> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_io().build()?;
    tokio::task::LocalSet::new().block_on(&runtime, accept(options))
}
