//! The row of another service's messages brought in.

use std::fs::File;
use std::io::{BufWriter, Write as _};
use std::path::Path;
use std::time::Instant;

use super::{Bench, Outcome, PREPARING, median, told};
use crate::child::Child;
use crate::{Failure, native, sentences};

/// Messages.
const MESSAGES: usize = 500_000;
/// Chats that they are in, in turn, and users.
const CHATS: usize = 1_000;
/// Users of each chat.
const MEMBERS: usize = 20;
/// What the row must hold.
const IMPORT_MIN: f64 = 0.7;

impl Bench {
    /// How fast messages are brought in, from starting the program to its end. It and the bare insert may use both cores,
    /// of which the latter has no use for the second.
    pub(super) fn import(&self) -> Result<Outcome, Failure> {
        let files = self.scratch.fresh("service")?;
        write_files(&files)?;
        let cores = [self.server_core, self.generator_core];
        let (mut bare, mut real) = (Vec::new(), Vec::new());
        for _ in 0..self.rounds {
            if self.ceilings {
                bare.push(self.bare_import(&cores).map_err(|e| e.context("the bare insert"))?);
            }
            if let Some(binary) = &self.server {
                let data = self.scratch.fresh("data")?;
                let begun = Instant::now();
                let import = Child::start_on(&cores, self.scratch.path(), binary, &native::import(&data, &files))?;
                let said = import.output(PREPARING)?;
                let seconds = begun.elapsed().as_secs_f64();
                let whole = |line: &String| line.starts_with("messages") && line.contains(&format!(" {MESSAGES} "));
                if !said.iter().any(whole) {
                    return Err(Failure::new("the import lost messages"));
                }
                real.push(MESSAGES as f64 / seconds);
            }
        }
        let ceiling = median(&bare, |rate| *rate).unwrap_or(f64::NAN);
        let mut outcome = Outcome {
            value: median(&real, |rate| *rate),
            ceiling,
            target: format!("≥ {IMPORT_MIN} ×"),
            ..Outcome::default()
        };
        outcome.demand("too slow", |value| value >= IMPORT_MIN * ceiling);
        let seconds = outcome.value.map(|rate| MESSAGES as f64 / rate);
        outcome.notes.push(told(&format!("{MESSAGES} messages in"), seconds, "s"));
        Ok(outcome)
    }

    fn bare_import(&self, cores: &[usize]) -> Result<f64, Failure> {
        let data = self.scratch.fresh("bare")?;
        let mut args = vec!["ceiling-import".to_owned(), "--data".to_owned(), data.display().to_string()];
        for (name, value) in [("--messages", MESSAGES), ("--rooms", CHATS), ("--members", MEMBERS)] {
            args.extend([name.to_owned(), value.to_string()]);
        }
        self.ask_on(cores, &args)
    }
}

/// Writes the files of a service: texts of one length, times that rise with the ids.
fn write_files(folder: &Path) -> Result<(), Failure> {
    let file = |name: &str, header: &str| -> Result<BufWriter<File>, Failure> {
        let mut file = BufWriter::new(File::create(folder.join(name))?);
        writeln!(file, "{header}")?;
        Ok(file)
    };
    let mut users = file("users.csv", "id,username,email,full_name,is_active,created_at,last_seen")?;
    let mut chats = file("chats.csv", "id,name,chat_type,created_at,updated_at,is_active")?;
    let mut participants = file("participants.csv", "user_id,chat_id,joined_at,is_admin")?;
    let header = "id,chat_id,sender_id,content,timestamp,message_type,is_edited,is_deleted";
    let mut messages = file("messages.csv", header)?;
    let then = "2024-01-01T00:00:00.000000Z";
    for id in 1..=CHATS {
        writeln!(users, "{id},bench{id},bench{id}@example.org,Bench {id},true,{then},")?;
        writeln!(chats, "{id},Bench {id},group,{then},{then},true")?;
        for member in 0..MEMBERS {
            writeln!(participants, "{},{id},{then},{}", (id + member) % CHATS + 1, member == 0)?;
        }
    }
    let texts: Vec<_> = sentences::texts().iter().map(|text| text.replace('"', "\"\"")).collect();
    for at in 0..MESSAGES {
        let (chat, seq) = (at % CHATS + 1, at / CHATS + 1);
        let sender = (chat + seq % MEMBERS) % CHATS + 1;
        let (second, micros) = (at / 1_000 % 60, at % 1_000);
        let (minute, hour) = (at / 60_000 % 60, at / 3_600_000);
        let time = format!("2024-02-01T{hour:02}:{minute:02}:{second:02}.{micros:06}Z");
        let text = &texts[at % texts.len()];
        writeln!(messages, "{},{chat},{sender},\"{text}\",{time},text,false,false", at + 1)?;
    }
    for mut file in [users, chats, participants, messages] {
        file.flush()?;
    }
    Ok(())
}
