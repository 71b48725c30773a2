//! Writes that follow one another, gathered into one.

/// Bytes that are gathered at most. SQLite's own file writes no more than 131,071 at once, and takes one of just as many more
/// for a disk that is full.
pub(crate) const BYTES_MAX: usize = 120 * 1024;

/// What went wrong, as the file says it.
pub(crate) type Code = i32;

/// The file that is written to.
pub(crate) trait Sink {
    /// Writes all of it at a position, or says why not.
    fn write(&mut self, bytes: &[u8], at: i64) -> Result<(), Code>;
}

/// Bytes that were taken and not written yet.
#[derive(Debug, Default)]
pub(crate) struct Gather {
    bytes: Vec<u8>,
    /// Where the first of them belongs.
    at: i64,
    lost: Option<Lost>,
}

/// Bytes that were taken and could not be written.
#[derive(Clone, Copy, Debug)]
struct Lost {
    /// Where they begin.
    from: i64,
    why: Code,
    /// Whether a write or a sync has failed for it, after which SQLite gives the transaction up.
    told: bool,
}

impl Gather {
    /// Takes bytes to write.
    pub fn write(&mut self, bytes: &[u8], at: i64, sink: &mut impl Sink) -> Result<(), Code> {
        // The transaction after the one that was given up begins where that did.
        if self.lost.is_some_and(|lost| lost.told && at <= lost.from) {
            self.lost = None;
        }
        let follows = at == self.at.saturating_add(self.bytes.len() as i64);
        if !follows || self.bytes.len() + bytes.len() > BYTES_MAX {
            self.flush(sink);
        }
        self.tell()?;
        if bytes.len() > BYTES_MAX || self.bytes.try_reserve(bytes.len()).is_err() {
            self.flush(sink);
            self.tell()?;
            return sink.write(bytes, at);
        }
        if self.bytes.is_empty() {
            self.at = at;
        }
        self.bytes.extend_from_slice(bytes);
        Ok(())
    }

    /// Writes what was taken.
    pub fn flush(&mut self, sink: &mut impl Sink) {
        if self.bytes.is_empty() {
            return;
        }
        let done = sink.write(&self.bytes, self.at);
        self.bytes.clear();
        if let Err(why) = done {
            let from = self.lost.map_or(self.at, |lost| lost.from.min(self.at));
            self.lost = Some(Lost { from, why, told: false });
        }
    }

    /// Whether all that was taken is written, for a sync or a write: after an error SQLite gives the transaction up.
    pub fn tell(&mut self) -> Result<(), Code> {
        self.lost.as_mut().map_or(Ok(()), |lost| {
            lost.told = true;
            Err(lost.why)
        })
    }

    /// Whether the bytes before `end` are what was taken for them.
    pub fn holds(&self, end: i64) -> Result<(), Code> {
        self.lost.filter(|lost| lost.from < end).map_or(Ok(()), |lost| Err(lost.why))
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// A file in memory; refuses all from the write of a number on, until it is told otherwise.
    #[derive(Default)]
    struct Memory {
        bytes: Vec<u8>,
        writes: usize,
        full: bool,
    }

    impl Sink for Memory {
        fn write(&mut self, bytes: &[u8], at: i64) -> Result<(), Code> {
            if self.full {
                return Err(13);
            }
            self.writes += 1;
            let at = at as usize;
            self.bytes.resize(self.bytes.len().max(at + bytes.len()), 0);
            self.bytes[at..at + bytes.len()].copy_from_slice(bytes);
            Ok(())
        }
    }

    #[test]
    fn frames_that_follow_one_another_are_one_write() {
        let (mut file, mut gather) = (Memory::default(), Gather::default());
        for frame in 0..20 {
            gather.write(&[1; 24], frame * 4_120, &mut file).unwrap();
            gather.write(&[2; 4_096], frame * 4_120 + 24, &mut file).unwrap();
        }
        assert_eq!((file.writes, file.bytes.len()), (0, 0));
        gather.flush(&mut file);
        assert_eq!((file.writes, file.bytes.len(), gather.tell()), (1, 20 * 4_120, Ok(())));
    }

    #[test]
    fn what_was_lost_is_said_until_the_transaction_was_given_up() {
        let (mut file, mut gather) = (Memory::default(), Gather::default());
        gather.write(b"header", 0, &mut file).unwrap();
        gather.flush(&mut file);
        file.full = true;
        gather.write(b"frame", 6, &mut file).unwrap();
        gather.flush(&mut file);
        file.full = false;
        assert_eq!((gather.holds(6), gather.holds(7)), (Ok(()), Err(13)), "what was there before can be read");
        assert_eq!(gather.write(b"FRAME", 6, &mut file), Err(13), "written again by the one who doesn't know");
        gather.write(b"again", 6, &mut file).unwrap();
        gather.flush(&mut file);
        assert_eq!((gather.tell(), gather.holds(11)), (Ok(()), Ok(())));
        assert_eq!(file.bytes, b"headeragain");
    }

    #[test]
    fn a_sync_tells_what_was_lost() {
        let (mut file, mut gather) = (Memory { full: true, ..Memory::default() }, Gather::default());
        gather.write(b"frame", 6, &mut file).unwrap();
        gather.flush(&mut file);
        file.full = false;
        assert_eq!((gather.tell(), gather.tell()), (Err(13), Err(13)));
        assert_eq!(gather.write(b"later", 11, &mut file), Err(13), "there is a hole before it");
        gather.write(b"again", 6, &mut file).unwrap();
        gather.flush(&mut file);
        assert_eq!(gather.tell(), Ok(()));
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(2_000))]
        #[test]
        fn a_file_is_what_it_would_be(writes in prop::collection::vec((0..9_u8, 0..4_000_i64, 1..5_000_usize), 0..60)) {
            let (mut file, mut gather) = (Memory::default(), Gather::default());
            let mut plain = Memory::default();
            let mut end = 0;
            for (at, (kind, offset, length)) in writes.into_iter().enumerate() {
                let bytes = vec![at as u8; length];
                // Most follow the one before; some go back, as when a log begins anew or its last page is written again.
                let begin = match kind { 0 => 0, 1 => offset, _ => end };
                end = begin + length as i64;
                gather.write(&bytes, begin, &mut file).unwrap();
                plain.write(&bytes, begin).unwrap();
                if kind == 8 {
                    gather.flush(&mut file);
                    prop_assert_eq!(&file.bytes, &plain.bytes);
                }
            }
            gather.flush(&mut file);
            prop_assert_eq!(&file.bytes, &plain.bytes);
            prop_assert!(file.writes <= plain.writes);
        }
    }
}
