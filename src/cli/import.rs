//! `parlance import`: another service's data.

use std::io::Write;
use std::path::{Path, PathBuf};

use clap::{Args, Subcommand};
use parlance_schema::TenantId;

use super::input::Input;
use super::{Backend, Failure};
use crate::config::Config;
use crate::import::{self, Format, Options};

/// Services that data can be brought in from.
#[derive(Debug, Subcommand)]
pub(super) enum Command {
    /// Brings in users, chats, participants and messages of a chat-service; again to go on where it was interrupted
    ChatService(Box<ChatService>),
}

/// The files of a chat-service.
#[derive(Debug, Args)]
pub(super) struct ChatService {
    /// A folder with users, chats, participants and messages, each .csv, .jsonl or .ndjson
    #[arg(value_name = "DIR")]
    folder: Option<PathBuf>,
    /// The users' file; - for standard input
    #[arg(long, value_name = "FILE")]
    users: Option<PathBuf>,
    /// The chats' file
    #[arg(long, value_name = "FILE")]
    chats: Option<PathBuf>,
    /// The participants' file
    #[arg(long, value_name = "FILE")]
    participants: Option<PathBuf>,
    /// The messages' file
    #[arg(long, value_name = "FILE")]
    messages: Option<PathBuf>,
    /// How the files are written, where their names don't tell
    #[arg(long, value_name = "FORMAT")]
    format: Option<Format>,
    /// The tenant that all of it goes to
    #[arg(long, default_value = "1")]
    tenant: TenantId,
    /// Where the report goes, and the files that say which id became which; default: `import` in the data folder
    #[arg(long, value_name = "DIR")]
    out: Option<PathBuf>,
    /// Begins another import although one has come to its end: its users are new ones
    #[arg(long)]
    again: bool,
    /// Gives up an import that was begun: what is written stays, the rest is not brought in
    #[arg(long)]
    abandon: bool,
    /// Entries that are written together, for tests
    #[arg(long, hide = true)]
    batch_entries: Option<usize>,
    /// Bytes of messages that are sorted in memory, for tests
    #[arg(long, hide = true)]
    sort_bytes: Option<usize>,
}

pub(super) async fn execute(
    backend: &dyn Backend,
    config: &Config,
    command: Command,
    input: &mut Input,
    out: &mut (dyn Write + Send),
) -> Result<(), Failure> {
    let Command::ChatService(args) = command;
    let store = backend.open_store(config).await?;
    let options = options(&args, &config.data.dir, input)?;
    let done = import::run(store, &options, backend.clock().now(), out).await;
    // What was piped in is of no use any more, whatever came of it.
    let _ = std::fs::remove_file(piped(&config.data.dir));
    let summary = done.map_err(|error| Failure::Other(error.to_string()))?;
    match summary.refused() {
        0 => Ok(()),
        count => Err(Failure::Refused(format!("{count} rows were refused; {} says why", summary.report.display()))),
    }
}

fn piped(data: &Path) -> PathBuf {
    data.join("import-stdin")
}

fn options(args: &ChatService, data: &Path, input: &mut Input) -> Result<Options, Failure> {
    let mut from_stdin = 0;
    let mut find = |named: &Option<PathBuf>, what: &str| -> Result<Option<import::Input>, Failure> {
        let Some(path) = named.clone().or_else(|| in_folder(args.folder.as_deref()?, what)) else { return Ok(None) };
        if path.as_os_str() == "-" {
            from_stdin += 1;
            let say = || Failure::Other("say --format csv or --format jsonl for standard input".to_owned());
            return Ok(Some(import::Input { path: piped(data), format: args.format.ok_or_else(say)? }));
        }
        let say = || Failure::Other(format!("{}: neither .csv nor .jsonl; say --format", path.display()));
        let format = args.format.or_else(|| Format::of(&path)).ok_or_else(say)?;
        Ok(Some(import::Input { path, format }))
    };
    let users = find(&args.users, "users")?;
    let chats = find(&args.chats, "chats")?;
    let participants = find(&args.participants, "participants")?;
    let messages = find(&args.messages, "messages")?;
    let users = users.ok_or_else(|| Failure::Other("name the users' file with --users, or a folder".to_owned()))?;
    if chats.is_none() && (participants.is_some() || messages.is_some()) {
        return Err(Failure::Other("participants and messages need --chats".to_owned()));
    }
    if messages.is_some() && participants.is_none() {
        return Err(Failure::Other("messages need --participants: a chat without members has no room".to_owned()));
    }
    match from_stdin {
        0 => {}
        // The file is read more than once.
        1 => input.copy_to(&piped(data))?,
        _ => return Err(Failure::Other("only one file can come from standard input".to_owned())),
    }
    let mut options = Options::new(users, data);
    (options.chats, options.participants, options.messages) = (chats, participants, messages);
    (options.tenant, options.again, options.abandon) = (args.tenant, args.again, args.abandon);
    options.batch_entries = args.batch_entries.unwrap_or(options.batch_entries);
    options.sort_bytes = args.sort_bytes.unwrap_or(options.sort_bytes);
    if let Some(out) = &args.out {
        options.out.clone_from(out);
    }
    Ok(options)
}

fn in_folder(folder: &Path, what: &str) -> Option<PathBuf> {
    let names = ["csv", "jsonl", "ndjson", "json"].map(|extension| folder.join(format!("{what}.{extension}")));
    names.into_iter().find(|path| path.is_file())
}
