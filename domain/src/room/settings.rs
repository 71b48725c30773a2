//! Settings: the name, what later members may read, and whether the room is open for writing.

use parlance_schema::Fault;
use parlance_schema::command::{History, Kind};
use parlance_schema::entry::Fact;

use super::command_rules::CommandRules;
use super::decide::Request;
use crate::content_rules;

pub(super) const RENAME: CommandRules = CommandRules::new("rename");
pub(super) const CONFIGURE: CommandRules = CommandRules::new("configure");
pub(super) const ARCHIVE: CommandRules = CommandRules::new("archive").in_archive().in_direct();
pub(super) const UNARCHIVE: CommandRules = CommandRules::new("unarchive").in_archive().in_direct();

pub(super) fn rename(request: &Request<'_>, name: &str) -> Result<Fact, Fault> {
    request.staff()?;
    content_rules::check_room_name(name)?;
    Ok(Fact::Renamed { name: name.to_owned() })
}

pub(super) fn configure(request: &Request<'_>, history: History) -> Result<Fact, Fault> {
    request.owner()?;
    Ok(Fact::Configured { history })
}

pub(super) fn archive(request: &Request<'_>) -> Result<Fact, Fault> {
    opens_and_closes(request)?;
    if request.state.archived { Err(Fault::already("the room is already archived")) } else { Ok(Fact::Archived) }
}

pub(super) fn unarchive(request: &Request<'_>) -> Result<Fact, Fault> {
    opens_and_closes(request)?;
    if request.state.archived { Ok(Fact::Unarchived) } else { Err(Fault::already("the room is not archived")) }
}

/// A direct room has no owner: either of the two may close it.
fn opens_and_closes(request: &Request<'_>) -> Result<(), Fault> {
    if request.state.kind == Kind::Direct { Ok(()) } else { request.owner() }
}
