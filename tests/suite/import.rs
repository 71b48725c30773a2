//! Bringing a chat-service's data in: rows to accounts and logs, what is refused, and going on after an interruption.

mod hostile;
mod ids;
mod logs;
mod rows;
mod trip;

use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use parlance::import::{self, Error, Format, Input, Options, Summary};
use parlance_actors::ports::Store;
use parlance_actors::ports::store::{IdKind, Range};
use parlance_schema::entry::Entry;
use parlance_schema::{RoomId, Seq, UserId};
use tempfile::TempDir;

/// When imports are run, in Unix milliseconds.
const NOW: u64 = 1_790_000_000_000;

const USERS: &str = "id,username,email,full_name,is_active,created_at,last_seen\n";
const CHATS: &str = "id,name,chat_type,created_at,updated_at,is_active\n";
const PARTICIPANTS: &str = "user_id,chat_id,joined_at,is_admin\n";
const MESSAGES: &str = "id,chat_id,sender_id,content,timestamp,message_type,is_edited,is_deleted,reply_to\n";

/// The files of a service, as CSV without headers.
#[derive(Clone, Debug, Default)]
struct Service {
    users: String,
    chats: String,
    participants: String,
    messages: String,
}

impl Service {
    /// Users 1 to 4 (ada, bob, cyd, dan), all in group 10, ada its admin, with no messages.
    fn small() -> Self {
        Self {
            users: "1,ada,ada@example.org,Ada L.,true,2024-01-01T00:00:00Z,2024-05-01T00:00:00Z\n\
                    2,bob,bob@example.org,Bob,t,2024-01-01T00:00:00Z,\n\
                    3,cyd,,Cyd,1,2024-01-01T00:00:00Z,\n\
                    4,dan,,Dan,false,2024-01-01T00:00:00Z,\n"
                .into(),
            chats: "10,Tea,group,2024-01-02T00:00:00Z,2024-01-02T00:00:00Z,true\n".into(),
            participants: "1,10,2024-01-02T00:00:00Z,true\n2,10,2024-01-02T00:00:00Z,false\n\
                           3,10,2024-01-02T00:00:00.5Z,false\n4,10,2024-01-03T00:00:00Z,false\n"
                .into(),
            messages: String::new(),
        }
    }

    fn with_messages(messages: &str) -> Self {
        Self { messages: messages.to_owned(), ..Self::small() }
    }

    fn write(&self, folder: &Path) -> Options {
        let data = folder.join("data");
        std::fs::create_dir_all(&data).unwrap();
        let file = |name: &str, header: &str, rows: &str| {
            let path = folder.join(format!("{name}.csv"));
            std::fs::write(&path, format!("{header}{rows}")).unwrap();
            Input { path, format: Format::Csv }
        };
        let mut options = Options::new(file("users", USERS, &self.users), &data);
        options.chats = Some(file("chats", CHATS, &self.chats));
        options.participants = Some(file("participants", PARTICIPANTS, &self.participants));
        options.messages = Some(file("messages", MESSAGES, &self.messages));
        options
    }
}

/// A store, files, and what came of the import.
struct Done {
    store: Arc<dyn Store>,
    summary: Summary,
    said: String,
    report: String,
    folder: TempDir,
}

impl Done {
    fn file(&self, name: &str) -> String {
        std::fs::read_to_string(self.folder.path().join("data/import").join(name)).unwrap()
    }

    async fn log(&self, room: u64) -> Vec<Arc<Entry>> {
        log(&*self.store, room).await
    }
}

async fn log(store: &dyn Store, room: u64) -> Vec<Arc<Entry>> {
    let range = Range { from: 1, to: Seq::MAX, limit: usize::MAX, backwards: false };
    store.entries(RoomId::new(room), range).await.unwrap()
}

async fn run(store: &Arc<dyn Store>, options: &Options) -> Result<(Summary, String), Error> {
    let mut out = Vec::new();
    let summary = import::run(Arc::clone(store), options, NOW, &mut out).await?;
    Ok((summary, String::from_utf8(out).unwrap()))
}

/// Brings a service into a store.
async fn import_into(store: Arc<dyn Store>, service: &Service) -> Done {
    let folder = tempfile::tempdir().unwrap();
    let options = service.write(folder.path());
    let (summary, said) = run(&store, &options).await.unwrap();
    let report = std::fs::read_to_string(&summary.report).unwrap();
    assert!(!options.scratch.exists(), "what was needed meanwhile is gone");
    Done { store, summary, said, report, folder }
}

async fn import(service: &Service) -> Done {
    import_into(Arc::new(parlance::store::Memory::new()), service).await
}

/// All that an import can have written with ids below a bound, in words that can be compared.
async fn picture(store: &dyn Store, ids: u64) -> String {
    let mut all = String::new();
    for id in 1..ids {
        let user = UserId::new(id);
        for account in store.accounts(&[user]).await.unwrap() {
            writeln!(all, "{account:?} in {:?}", store.rooms_of(user).await.unwrap()).unwrap();
        }
        let room = RoomId::new(id);
        let range = Range { from: 1, to: Seq::MAX, limit: usize::MAX, backwards: false };
        for message in store.messages(room, range).await.unwrap() {
            writeln!(all, "{room} {message:?}").unwrap();
        }
        for entry in log(store, id).await {
            writeln!(
                all,
                "{room} {entry:?} {:?}",
                store.find(room, entry.by, &entry.client_id, Seq::MAX).await.unwrap()
            )
            .unwrap();
        }
        if let Some(waking) = store.wake(room).await.unwrap() {
            writeln!(all, "{room} {waking:?} {:?}", store.read_marks(room).await.unwrap()).unwrap();
        }
        let message = parlance_schema::MessageId::new(id);
        writeln!(all, "{message} {:?}", store.locate(message).await.unwrap()).unwrap();
    }
    for kind in [IdKind::User, IdKind::Room, IdKind::Message] {
        writeln!(all, "next {}", store.take_ids(kind, 0).await.unwrap()).unwrap();
    }
    for kind in 0..20 {
        writeln!(all, "{:?}", store.records("chat-service", kind, 0, usize::MAX >> 1).await.unwrap()).unwrap();
    }
    all
}

fn input(path: PathBuf, format: Format) -> Input {
    Input { path, format }
}
