//! What is asked about a room: its picture, its members, and who may read what.

use parlance_domain::room::{State as Folded, no_room};
use parlance_schema::command::History;
use parlance_schema::user::Principal;
use parlance_schema::view::{BanView, MemberView, OpenInvite, RoomView};
use parlance_schema::{Fault, Millis, Seq, TenantId, UserId};

use super::actor::State;

/// A room as somebody sees it, and where its last message is.
pub(crate) struct View {
    pub(crate) room: RoomView,
    pub(crate) last_post: Seq,
    pub(crate) tenant: TenantId,
}

impl State {
    pub(super) fn access(&self, who: &Principal) -> Result<(Seq, Seq), Fault> {
        let folded = self.folded.as_ref().ok_or_else(no_room)?;
        folded.readable_from(who).map(|first| (first, folded.last)).ok_or_else(no_room)
    }

    pub(super) fn view(&self, who: &Principal) -> Result<Box<View>, Fault> {
        let (first, last) = self.access(who)?;
        let folded = self.folded.as_ref().ok_or_else(no_room)?;
        let member = folded.members.get(&who.user);
        let joined = member.map_or(0, |member| member.joined);
        // A mark from an earlier membership tells nothing, and what was sent before one joined is not unread: who has no mark
        // begins to read where they joined.
        let mark = self.marks.get(&who.user).filter(|mark| mark.seq >= joined).copied().unwrap_or_default();
        let unread = member.map_or(0, |member| {
            let own = member.own.saturating_sub(mark.own);
            let posts = folded.posts.saturating_sub(mark.posts.max(member.posts_before));
            posts.saturating_sub(own)
        });
        Ok(Box::new(View {
            room: RoomView {
                id: self.room,
                kind: folded.kind,
                name: folded.name.clone(),
                peer: folded.peer(who.user),
                epoch: self.shared.store.epoch(),
                last,
                members: folded.members.len(),
                role: member.map(|member| member.role),
                first,
                read: mark.seq.max(joined),
                unread,
                messages: folded.posts.saturating_sub(match folded.history {
                    History::SinceJoined => member.map_or(0, |member| member.posts_before),
                    History::All => 0,
                }),
                history: folded.history,
                archived: folded.archived,
                created_at: folded.created_at,
                updated_at: folded.updated_at,
                last_message: None,
            },
            last_post: if folded.last_post >= first { folded.last_post } else { 0 },
            tenant: folded.tenant,
        }))
    }

    pub(super) fn members(&self, who: &Principal) -> Result<Vec<MemberView>, Fault> {
        let (first, _) = self.access(who)?;
        let folded = self.folded.as_ref().ok_or_else(no_room)?;
        let now = self.shared.clock.now();
        let mut members: Vec<_> = folded.members.iter().collect();
        members.sort_by_key(|(user, member)| (member.joined, **user));
        let view = |(user, member): (&UserId, &parlance_domain::room::Member)| MemberView {
            user: *user,
            role: member.role,
            joined_at: member.joined_at,
            muted_until: member.muted.filter(|_| member.is_muted(now)).map(|mute| mute.until.unwrap_or(0)),
            // How far they read of what the caller may not read is not told.
            read: self.marks.get(user).filter(|mark| mark.seq >= member.joined.max(first)).map_or(0, |mark| mark.seq),
            status: self.relays.presence.status(*user),
        };
        Ok(members.into_iter().map(view).collect())
    }

    /// What only those may see who have a say over others' things.
    fn as_staff(&self, who: &Principal) -> Result<&Folded, Fault> {
        self.access(who)?;
        let folded = self.folded.as_ref().ok_or_else(no_room)?;
        let refused = || Fault::forbidden("only the room's owner and admins may see this");
        folded.is_staff(who).then_some(folded).ok_or_else(refused)
    }

    pub(super) fn bans(&self, who: &Principal) -> Result<Vec<BanView>, Fault> {
        let (folded, now) = (self.as_staff(who)?, self.shared.clock.now());
        let hold = folded.bans.iter().filter(|(_, ban)| ban.until.is_none_or(|end| now < end));
        let mut bans: Vec<_> =
            hold.map(|(user, ban)| BanView { user: *user, seq: ban.seq, until: ban.until }).collect();
        bans.sort_by_key(|ban| ban.seq);
        Ok(bans)
    }

    pub(super) fn invites(&self, who: &Principal) -> Result<Vec<OpenInvite>, Fault> {
        let (folded, now) = (self.as_staff(who)?, self.shared.clock.now());
        let open = folded.invites.iter().filter(|(_, invite)| invite.expires_at.is_none_or(|end| now < end));
        let view = |(hash, invite): (&String, &parlance_domain::room::Invite)| OpenInvite {
            hash: hash.clone(),
            by: invite.by,
            expires_at: invite.expires_at,
            left: invite.left,
        };
        let mut invites: Vec<_> = open.map(view).collect();
        invites.sort_by_key(|invite| invite.expires_at.unwrap_or(Millis::MAX));
        Ok(invites)
    }
}
