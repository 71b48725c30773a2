//! What every store must do, one function a behaviour. A backend joins by naming a function that makes an empty `Bed`.

pub mod accounts;
pub mod append;
pub mod bulk;
pub mod claims;
pub mod feed;
pub mod reads;

/// Makes a test of each behaviour, on the stores that `$bed` makes.
#[allow(unused_macros, reason = "a binary whose stores take no imports names the shorter list only")]
macro_rules! every_behaviour {
    ($bed:path) => {
        crate::store::conformance::node_behaviours!($bed);
        crate::store::conformance::behaviours! { $bed;
            bulk: a_piece_is_written_once, all_of_a_piece_is_there, what_is_taken_is_told_and_nothing_is_written,
                a_log_goes_on_where_it_ends, ids_are_moved_past_and_never_back, ids_in_use_are_told;
        }
    };
}

/// The same for what a node needs; imports are not among it.
macro_rules! node_behaviours {
    ($bed:path) => {
        crate::store::conformance::behaviours! { $bed;
            append: conditional, conflict_tells_the_last_number, duplicates_are_found_wherever_they_are,
                a_duplicate_is_per_sender_and_room, refused_writes_nothing, contradictions_are_refused,
                an_append_never_crosses_a_bucket,
                a_message_id_is_used_once, one_winner_per_number, many_rooms_at_once,
                erasing_takes_the_words_and_nothing_else, every_fact_comes_back_as_it_was;
            reads: wake_without_snapshot, wake_with_snapshot, a_snapshot_never_goes_back, ranges, messages_with_their_state,
                messages_of_several_rooms, messages_are_counted, lookups, rooms_follow_joins_and_leaves, read_marks_only_rise;
            claims: one_claimant_wins, claims_are_apart, id_blocks_never_overlap, ids_run_out_with_an_error,
                healthy;
            feed: marks_are_found_by_their_owner, a_mark_is_removed_as_of_when_it_was_written,
                an_append_brings_its_mark_with_it, due_marks_are_read_when_their_time_has_come,
                a_fence_stops_what_was_begun_before, a_fence_holds_for_a_bucket, of_a_fence_and_an_append_one_wins,
                cursors_never_go_back, consumers_are_registered_once, a_walk_finds_every_room_and_is_noted,
                dead_letters_are_kept_until_they_are_dropped, who_runs_a_consumer_is_noted;
            accounts: names_are_unique_whatever_their_case, tenants_share_names, an_account_is_replaced,
                an_account_is_replaced_as_it_was_read,
                lookups_by_name_and_address, search_finds_names_and_no_addresses, last_seen_only_rises,
                a_race_for_a_name_has_one_winner, families_rotate_once, families_are_revoked_and_swept, audited;
        }
    };
}

macro_rules! behaviours {
    ($bed:path; $($module:ident: $($name:ident),+;)+) => {
        $(mod $module {
            $(
                #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
                async fn $name() {
                    let bed = $bed();
                    crate::store::conformance::$module::$name(std::sync::Arc::clone(&bed.store)).await;
                }
            )+
        })+
    };
}

#[allow(unused_imports, reason = "a binary whose stores take no imports names the shorter list only")]
pub(crate) use {behaviours, every_behaviour, node_behaviours};
