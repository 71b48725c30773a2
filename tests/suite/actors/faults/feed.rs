//! What lets logs be followed, as the store within has it; while it is down, nothing.

use async_trait::async_trait;
use parlance_actors::ports::store::{
    Begins, Cursor, DeadLetter, DueMark, FeedStore, Filter, LogEnd, MarkOwner, Progress, Registered, StoreError, Thing,
    Walk, WorkMark,
};
use parlance_schema::{Millis, RoomId, Seq};

use super::Faulty;

macro_rules! passed_on {
    ($(async fn $name:ident(&self $(, $arg:ident: $type:ty)*) -> $result:ty;)*) => {
        #[async_trait]
        impl FeedStore for Faulty {
            fn marks_with_append(&self) -> bool {
                !self.marks_before.load(std::sync::atomic::Ordering::SeqCst)
            }

            $(async fn $name(&self $(, $arg: $type)*) -> $result {
                self.up()?;
                self.inner.$name($($arg),*).await
            })*
        }
    };
}

passed_on! {
    async fn open_owner(&self, owner: u64, now: Millis) -> Result<(), StoreError>;
    async fn owners(&self) -> Result<Vec<MarkOwner>, StoreError>;
    async fn forget_owner(&self, owner: u64) -> Result<(), StoreError>;
    async fn put_marks(&self, marks: &[WorkMark]) -> Result<(), StoreError>;
    async fn marks(&self, owner: u64, shard: u8, after: Option<Thing>, limit: usize) -> Result<Vec<WorkMark>, StoreError>;
    async fn drop_marks(&self, marks: &[WorkMark]) -> Result<(), StoreError>;
    async fn put_due(&self, due: DueMark) -> Result<(), StoreError>;
    async fn due(&self, shard: u8, now: Millis, limit: usize) -> Result<Vec<DueMark>, StoreError>;
    async fn drop_due(&self, due: &[DueMark]) -> Result<(), StoreError>;
    async fn log_end(&self, room: RoomId) -> Result<LogEnd, StoreError>;
    async fn fence(&self, room: RoomId, last: Seq, fence: u64) -> Result<bool, StoreError>;
    async fn progress(&self, progress: Progress) -> Result<bool, StoreError>;
    async fn cursors(&self, room: RoomId) -> Result<Vec<Cursor>, StoreError>;
    async fn consumers(&self) -> Result<Vec<Registered>, StoreError>;
    async fn register(&self, name: &str, filter: &Filter, begins: Begins) -> Result<Registered, StoreError>;
    async fn reset(&self, name: &str) -> Result<Option<Registered>, StoreError>;
    async fn unregister(&self, name: &str) -> Result<bool, StoreError>;
    async fn note_walk(&self, name: &str, generation: u64, from: &Walk, to: Option<&Walk>) -> Result<bool, StoreError>;
    async fn walk(&self, after: &Walk, limit: usize) -> Result<(Vec<RoomId>, Option<Walk>), StoreError>;
    async fn note_run(&self, name: &str, now: Millis) -> Result<(), StoreError>;
    async fn runs(&self) -> Result<Vec<(String, Millis)>, StoreError>;
    async fn put_dead(&self, dead: &DeadLetter) -> Result<(), StoreError>;
    async fn dead(&self, consumer: &str, after: Option<(RoomId, Seq)>, limit: usize) -> Result<Vec<DeadLetter>, StoreError>;
    async fn drop_dead(&self, consumer: &str, room: RoomId, seq: Seq) -> Result<(), StoreError>;
}
