//! `parlance import`: another service's data.

use std::io::Write;
use std::path::{Path, PathBuf};

use clap::{Args, Subcommand};
use parlance_schema::TenantId;

use super::input::Input;
use super::{Backend, Failure};
use crate::auth::keys;
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
    let not_read = not_read(&args, &config.data.dir)?;
    let options = options(&args, &config.data.dir, input)?;
    if !not_read.is_empty() {
        // A pipe that is closed must not pass for an import that was done.
        let failed = |error: std::io::Error| Failure::Other(format!("standard output: {error}"));
        writeln!(out, "not read: {}", not_read.join(", ")).map_err(failed)?;
    }
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
        let path = match (named, &args.folder) {
            (Some(path), _) => path.clone(),
            (None, Some(folder)) => match in_folder(folder, what)? {
                Some(path) => path,
                None => return Ok(None),
            },
            (None, None) => return Ok(None),
        };
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
    check_out(&options)?;
    Ok(options)
}

/// What came of it is written to files of the same names as those that are read: they need another folder.
fn check_out(options: &Options) -> Result<(), Failure> {
    let Ok(out) = options.out.canonicalize() else { return Ok(()) };
    let inputs =
        [Some(&options.users), options.chats.as_ref(), options.participants.as_ref(), options.messages.as_ref()];
    let folder = |input: &import::Input| input.path.canonicalize().ok()?.parent().map(Path::to_path_buf);
    if inputs.into_iter().flatten().any(|input| folder(input).as_ref() == Some(&out)) {
        let out = options.out.display();
        return Err(Failure::Other(format!(
            "{out} has files that are to be imported, and the report's files have the same names: name another folder with --out"
        )));
    }
    Ok(())
}

/// The one file of a folder that has these rows. A second one, or one in a form that is not read, is an error.
fn in_folder(folder: &Path, what: &str) -> Result<Option<PathBuf>, Failure> {
    let failed = |error: std::io::Error| Failure::Other(format!("{}: {error}", folder.display()));
    let mut found = Vec::new();
    for entry in std::fs::read_dir(folder).map_err(failed)? {
        let name = entry.map_err(failed)?.file_name();
        // messages.csv.gz is called messages, too.
        let stem = name.to_str().and_then(|name| name.split('.').next());
        if stem.is_some_and(|stem| stem.eq_ignore_ascii_case(what)) {
            found.push(folder.join(name));
        }
    }
    found.sort();
    match found.as_slice() {
        [] => Ok(None),
        [path] if Format::of(path).is_some_and(|_| path.is_file()) => Ok(Some(path.clone())),
        [path] => {
            let say =
                format!("is not read: it must be {what}.csv or {what}.jsonl, or be named with --{what} and --format");
            Err(Failure::Other(format!("{} {say}", path.display())))
        }
        [one, other, ..] => {
            let (one, other) = (one.display(), other.display());
            let say =
                format!("which of them holds the {what}? Move the other away, or name the right one with --{what}");
            Err(Failure::Other(format!("{one} and {other}: {say}")))
        }
    }
}

/// The files of the folder that are not read, and need not be. One that may hold rows, by what its name ends in, could be one
/// of the four under another name: that is an error, unless a flag names it, or flags name all four.
fn not_read(args: &ChatService, data: &Path) -> Result<Vec<String>, Failure> {
    let flags = [
        ("users", args.users.as_ref()),
        ("chats", args.chats.as_ref()),
        ("participants", args.participants.as_ref()),
        ("messages", args.messages.as_ref()),
    ];
    let Some(folder) = args.folder.as_ref().filter(|_| flags.iter().any(|(_, path)| path.is_none())) else {
        return Ok(Vec::new());
    };
    let failed = |error: std::io::Error| Failure::Other(format!("{}: {error}", folder.display()));
    let mut known: Vec<_> =
        flags.iter().filter_map(|(_, path)| path.and_then(|path| path.canonicalize().ok())).collect();
    // The server's own, where the folder is its data folder.
    known.extend(data.join(keys::FILE).canonicalize().ok());
    let mut others = Vec::new();
    for entry in std::fs::read_dir(folder).map_err(failed)? {
        let path = entry.map_err(failed)?.path();
        let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
        let mut parts = name.split('.');
        let stem = parts.next().unwrap_or_default();
        let of = flags.iter().find(|(what, _)| stem.eq_ignore_ascii_case(what));
        let is_one = of.is_some_and(|(_, named)| named.is_none());
        // Hidden files are nobody's data.
        if stem.is_empty() || is_one || path.is_dir() || path.canonicalize().is_ok_and(|path| known.contains(&path)) {
            continue;
        }
        // message.csv.gz holds rows, too.
        let rows = parts.any(|end| Format::of(&Path::new(stem).with_extension(end)).is_some());
        // One in whose place a flag names another one is passed over on purpose.
        let idle = !rows || of.is_some();
        others.push((idle, name.replace(char::is_control, "?")));
    }
    // Those that may hold rows first.
    others.sort();
    let names = |all: &[(bool, String)]| all.iter().map(|(_, name)| name.clone()).collect::<Vec<_>>();
    let (data, rest) = others.split_at(others.partition_point(|(idle, _)| !idle));
    if data.is_empty() {
        return Ok(names(rest));
    }
    Err(Failure::Other(format!(
        "{}: {} would not be read: a folder's files are called users, chats, participants and messages. Move what is not \
         one of them away, or name each file with --users, --chats, --participants and --messages",
        folder.display(),
        names(data).join(", ")
    )))
}

#[cfg(test)]
mod tests {
    use clap::FromArgMatches as _;

    use super::*;

    fn told(names: &[&str]) -> Result<Option<String>, String> {
        let folder = tempfile::tempdir().unwrap();
        for name in names {
            std::fs::write(folder.path().join(name), "").unwrap();
        }
        let found = in_folder(folder.path(), "users").map_err(|error| error.to_string())?;
        Ok(found.map(|path| path.file_name().unwrap().to_str().unwrap().to_owned()))
    }

    #[test]
    fn one_file_is_found_and_none_is_passed_over() {
        assert_eq!(told(&[]), Ok(None));
        assert_eq!(told(&["chats.csv", "notes.txt"]), Ok(None));
        for name in ["users.csv", "users.jsonl", "users.ndjson", "users.json", "Users.CSV"] {
            assert_eq!(told(&["chats.csv", name]), Ok(Some(name.to_owned())));
        }
        for names in [["users.csv", "users.jsonl"], ["users.CSV", "users.csv"], ["users.json", "users.csv.bak"]] {
            let said = told(&names).unwrap_err();
            assert!(names.iter().all(|name| said.contains(name)) && said.contains("--users"), "{said}");
        }
        for name in ["users.csv.gz", "users.txt", "users", "users.tsv"] {
            let said = told(&[name]).unwrap_err();
            assert!(said.contains(name) && said.contains("--users"), "{said}");
        }
        assert!(in_folder(Path::new("/no/such/folder"), "users").is_err());
    }

    /// What is said of files beside the four, with these flags.
    fn beside(names: &[&str], flags: &[(&str, &str)]) -> Result<Vec<String>, String> {
        let folder = tempfile::tempdir().unwrap();
        for name in ["users.csv", "Chats.jsonl", "participants.csv", "messages.csv"].iter().chain(names) {
            std::fs::write(folder.path().join(name), "").unwrap();
        }
        std::fs::create_dir(folder.path().join("old.csv")).unwrap();
        let path = folder.path().display().to_string();
        let mut words = vec!["chat-service".to_owned(), path.clone()];
        for (flag, name) in flags {
            words.extend([format!("--{flag}"), format!("{path}/{name}")]);
        }
        let command = ChatService::augment_args(clap::Command::new("chat-service"));
        let args = ChatService::from_arg_matches(&command.try_get_matches_from(words).unwrap()).unwrap();
        not_read(&args, folder.path()).map_err(|error| error.to_string())
    }

    #[test]
    fn the_report_never_goes_where_the_files_are() {
        let folder = tempfile::tempdir().unwrap();
        let (here, there) = (folder.path().join("here"), folder.path().join("there"));
        let input = |dir: &Path| {
            std::fs::create_dir_all(dir).unwrap();
            std::fs::write(dir.join("chats.csv"), "").unwrap();
            import::Input { path: dir.join("chats.csv"), format: Format::of(Path::new("chats.csv")).unwrap() }
        };
        let mut options = Options::new(input(&here), &folder.path().join("data"));
        options.chats = Some(input(&there));
        assert!(check_out(&options).is_ok());
        for out in [here.join("../there"), here.clone()] {
            options.out = out;
            assert!(check_out(&options).unwrap_err().to_string().contains("--out"));
        }
        options.out = folder.path().join("new");
        assert!(check_out(&options).is_ok());
    }

    #[test]
    fn files_of_other_names_are_told_and_those_that_may_hold_rows_refused() {
        assert_eq!(beside(&[], &[]), Ok(Vec::new()));
        let harmless = ["notes.txt", "README", ".users.csv", "._messages.csv", "keys.json"];
        assert_eq!(beside(&harmless, &[]), Ok(vec!["README".to_owned(), "notes.txt".to_owned()]));
        for name in ["message.csv", "users_old.csv", "user.JSON", "rooms.ndjson", "message.csv.gz", "users 2.csv"] {
            let said = beside(&["notes.txt", name], &[]).unwrap_err();
            assert!(said.contains(name) && said.contains("--messages") && !said.contains("notes.txt"), "{said}");
        }
        let all = [("users", "u.csv"), ("chats", "u.csv"), ("participants", "u.csv"), ("messages", "u.csv")];
        assert!(beside(&["u.csv", "v.csv"], &all[..3]).unwrap_err().contains(": v.csv would not"));
        assert_eq!(beside(&["u.csv", "v.csv"], &all), Ok(Vec::new()));
        assert_eq!(beside(&["message.csv"], &[("messages", "message.csv")]), Ok(vec!["messages.csv".to_owned()]));
    }
}
