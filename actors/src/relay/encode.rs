//! What readers are sent of entries: encoded once per wire, and once more for those who may not read what an entry is about.
//!
//! Whoever joined a room whose history begins with the joining gets entries about earlier messages without these
//! ([`parlance_domain::visibility`]). There are two forms of an entry, whole and masked, whoever it is for.

use std::sync::Arc;

use bytes::{Bytes, BytesMut};
use parlance_domain::visibility::{Visible, is_whole, names, visible};
use parlance_schema::entry::Entry;
use parlance_schema::{RoomId, Seq};

use crate::link::Link;
use crate::wire::{Around, Missing, WIRES_MAX, Wire};

/// An entry as a wire writes it for somebody who may read from `first` on; empty where the wire has no frame for it.
///
/// # Errors
/// When the wire needs something that is not at hand.
pub(super) fn encode(
    wire: &dyn Wire,
    room: RoomId,
    entry: &Entry,
    first: Seq,
    around: &Around<'_>,
) -> Result<Bytes, Missing> {
    let frame = match visible(entry, first) {
        Visible::Whole(entry) => wire.entry(room, entry, around)?,
        Visible::Without(entry) => wire.entry(room, &entry, around)?,
        Visible::Hidden(hidden) => wire.hidden(room, &hidden),
    };
    Ok(frame.unwrap_or_default())
}

/// The earliest message that some of the entries name.
pub(super) fn earliest<'a>(entries: impl IntoIterator<Item = &'a Arc<Entry>>) -> Option<Seq> {
    entries.into_iter().filter_map(|entry| names(entry)).min()
}

/// Entries as one wire writes them: one allocation for all.
struct Made {
    joined: Bytes,
    frames: Vec<Bytes>,
}

/// Consecutive entries on their way to their readers.
pub(super) struct Batch<'a> {
    room: RoomId,
    entries: &'a [Arc<Entry>],
    around: &'a Around<'a>,
    earliest: Option<Seq>,
    whole: [Option<Result<Made, Missing>>; WIRES_MAX],
    /// Masked entries by wire and place.
    masked: Vec<(usize, usize, Bytes)>,
    /// For a wire, which entries are masked, and all of them joined.
    mixed: Vec<(usize, Vec<bool>, Bytes)>,
}

impl<'a> Batch<'a> {
    pub fn new(room: RoomId, entries: &'a [Arc<Entry>], around: &'a Around<'a>) -> Self {
        let (earliest, whole) = (earliest(entries), Default::default());
        Self { room, entries, around, earliest, whole, masked: Vec::new(), mixed: Vec::new() }
    }

    /// All entries, for a reader on this wire who may read from `first` on.
    pub fn joined(&mut self, wire: &dyn Wire, first: Seq) -> Result<Bytes, Missing> {
        if self.earliest.is_some_and(|seq| seq < first) {
            return self.mixed(wire, first);
        }
        self.whole(wire).map(|made| made.joined.clone())
    }

    fn whole(&mut self, wire: &dyn Wire) -> Result<&Made, Missing> {
        let (room, entries, around) = (self.room, self.entries, self.around);
        let made = self.whole[wire.index()].get_or_insert_with(|| Made::new(wire, room, entries, around));
        made.as_ref().map_err(|missing| *missing)
    }

    /// The entries that a connection doesn't pass over, for its reader, who may read from `first` on.
    pub fn others(&mut self, link: &Link, first: Seq) -> Result<Vec<Bytes>, Missing> {
        let (wire, entries) = (link.wire.as_ref(), self.entries);
        let mut frames = Vec::with_capacity(entries.len());
        for (at, entry) in entries.iter().enumerate().filter(|(_, entry)| !link.passes_over(entry)) {
            frames.push(if is_whole(entry, first) { self.single(wire, at)? } else { self.masked(wire, at)? });
        }
        Ok(frames)
    }

    fn mixed(&mut self, wire: &dyn Wire, first: Seq) -> Result<Bytes, Missing> {
        let masks: Vec<bool> = self.entries.iter().map(|entry| !is_whole(entry, first)).collect();
        if let Some((.., joined)) = self.mixed.iter().find(|(w, known, _)| *w == wire.index() && *known == masks) {
            return Ok(joined.clone());
        }
        let mut joined = BytesMut::new();
        for (at, mask) in masks.iter().enumerate() {
            let frame = if *mask { self.masked(wire, at)? } else { self.single(wire, at)? };
            joined.extend_from_slice(&frame);
        }
        let joined = joined.freeze();
        self.mixed.push((wire.index(), masks, joined.clone()));
        Ok(joined)
    }

    fn masked(&mut self, wire: &dyn Wire, at: usize) -> Result<Bytes, Missing> {
        if let Some((.., frame)) = self.masked.iter().find(|(w, place, _)| *w == wire.index() && *place == at) {
            return Ok(frame.clone());
        }
        let frame = encode(wire, self.room, &self.entries[at], Seq::MAX, self.around)?;
        self.masked.push((wire.index(), at, frame.clone()));
        Ok(frame)
    }

    /// One entry that is whole. Others of the batch may need what is not at hand, and are not for this reader.
    fn single(&self, wire: &dyn Wire, at: usize) -> Result<Bytes, Missing> {
        match &self.whole[wire.index()] {
            Some(Ok(made)) => Ok(made.frames[at].clone()),
            _ => encode(wire, self.room, &self.entries[at], 0, self.around),
        }
    }

    /// Whole and masked frames of one entry, by wire, as far as they were made.
    pub fn frames(&self, at: usize) -> [[Option<Bytes>; WIRES_MAX]; 2] {
        let whole = self.whole.each_ref().map(|made| Some(made.as_ref()?.as_ref().ok()?.frames[at].clone()));
        let mut masked: [Option<Bytes>; WIRES_MAX] = Default::default();
        for (wire, _, frame) in self.masked.iter().filter(|(_, place, _)| *place == at) {
            masked[*wire] = Some(frame.clone());
        }
        [whole, masked]
    }
}

impl Made {
    fn new(wire: &dyn Wire, room: RoomId, entries: &[Arc<Entry>], around: &Around<'_>) -> Result<Self, Missing> {
        let write = |entry: &Arc<Entry>| encode(wire, room, entry, 0, around);
        let single: Vec<Bytes> = entries.iter().map(write).collect::<Result<_, _>>()?;
        if let [only] = single.as_slice() {
            return Ok(Self { joined: only.clone(), frames: single });
        }
        let mut joined = BytesMut::with_capacity(single.iter().map(Bytes::len).sum());
        single.iter().for_each(|frame| joined.extend_from_slice(frame));
        let joined = joined.freeze();
        let mut at = 0;
        let cut = |frame: &Bytes| {
            at += frame.len();
            joined.slice(at - frame.len()..at)
        };
        let frames = single.iter().map(cut).collect();
        Ok(Self { joined, frames })
    }
}
