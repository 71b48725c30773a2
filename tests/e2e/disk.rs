//! Disks that are full, read-only or damaged: a clear word or a refused start, never a wrong acknowledgement.

use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;

use serde_json::json;

use crate::checker;
use crate::client::Client;
use crate::journal::Journal;
use crate::raw::{How, PATIENCE, Raw};
use crate::server::{Setup, skip};
use crate::stage::{Stage, folder};
use crate::text::sentence;

/// A small file system of its own; taken away when dropped.
struct Mount(PathBuf);

impl Mount {
    /// `None`, said loudly, without the rights to mount.
    fn tmpfs(at: &Path, options: &str) -> Option<Self> {
        std::fs::create_dir(at).unwrap();
        let out = Command::new("mount").args(["-t", "tmpfs", "-o", options, "tmpfs"]).arg(at).output();
        match out {
            Ok(out) if out.status.success() => Some(Self(at.to_owned())),
            other => {
                let why = other.map_or_else(|e| e.to_string(), |out| String::from_utf8_lossy(&out.stderr).into_owned());
                skip(&format!("no file system can be mounted here ({}); run it as root", why.trim()));
                None
            }
        }
    }

    fn remount(&self, options: &str) {
        let out = Command::new("mount").args(["-o", &format!("remount,{options}")]).arg(&self.0).output().unwrap();
        assert!(out.status.success(), "{}", String::from_utf8_lossy(&out.stderr));
    }
}

impl Drop for Mount {
    fn drop(&mut self) {
        // Lazily: a server that is ending may still have files open.
        let _ = Command::new("umount").arg("-l").arg(&self.0).status();
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_full_disk_is_said_and_work_goes_on_when_there_is_room() {
    let folder = tempfile::tempdir().unwrap();
    let Some(_disk) = Mount::tmpfs(&folder.path().join("disk"), "size=8m") else { return };
    let setup = Setup::new(&folder.path().join("disk/data"));
    let users = setup.users(2);
    let ballast = folder.path().join("disk/ballast");
    std::fs::write(&ballast, vec![1; 4 << 20]).unwrap();
    let server = setup.start().await;
    let mut owner = Raw::ready(server.address(), &users[0].token).await;
    let room = owner.create("small disk", &[users[1].id]).await;
    let journals = folder.path().join("journals");
    std::fs::create_dir(&journals).unwrap();
    // One client sends until the disk is full, and then goes on trying by itself.
    let start = |user| Arc::new(Client::start(server.address(), user, &journals, How::default()));
    let clients: Vec<_> = users.iter().map(start).collect();
    for client in &clients {
        client.until("the resume", |state| state.positions.contains_key(&room)).await;
    }
    let long = sentence(3).repeat(150);
    let mut acked = 0;
    // The long ones first, then short ones into what they left.
    for text in [&long, sentence(3)] {
        let fault = loop {
            match owner.request(json!({"op": "send", "room": room, "content": {"text": text}})).await {
                Ok(_) => acked += 1,
                Err(fault) => break fault,
            }
            assert!(acked < 1_000, "8 MiB are full at last");
        };
        assert_eq!((&fault["code"], &fault["retry"]), (&json!("store_unavailable"), &json!("later")), "{fault}");
    }
    for at in 0..20 {
        clients[0].send(room, &sentence(at).repeat(150));
    }
    for _ in 0..20 {
        let fault = owner.request(json!({"op": "send", "room": room, "content": {"text": long}})).await.unwrap_err();
        assert_eq!(fault["code"], "store_unavailable");
    }
    // The probe writes little, and seldom: what is left is enough for it a few times.
    let unready = async { while server.get("/health/ready").await.0 != 503 {} };
    tokio::time::timeout(PATIENCE, unready).await.expect("a server that can't write says so");
    assert_eq!(server.get("/health/live").await.0, 200);
    // What is there can be read, and live sessions stay.
    let page = owner.ok(json!({"op": "entries", "room": room, "after": 0, "limit": 1})).await;
    assert_eq!(page["items"][0]["seq"], 1);
    std::fs::remove_file(&ballast).unwrap();
    clients[0].until("the acknowledgements", |state| state.unacked() == 0).await;
    let last = owner.post(room, "room again").await;
    assert_eq!(last, 1 + acked + 20 + 1, "what was refused is not there");
    assert!(server.said().contains("full"), "the log says why");
    let mut log = Journal::new(&journals, "log", 0);
    let mut at = 0;
    while at < last {
        let page = owner.ok(json!({"op": "entries", "room": room, "after": at, "limit": 20})).await;
        for entry in page["items"].as_array().unwrap() {
            log.entry("log", room, entry);
            at = entry["seq"].as_u64().unwrap();
        }
    }
    log.end();
    for client in clients {
        client.until("the last entry", |state| state.seq(room) == last).await;
        assert_eq!(client.see(|state| state.connections), 1, "the connection stayed");
        Arc::into_inner(client).unwrap().stop().await;
    }
    println!("{acked} messages fit: {}", checker::holds(&journals));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_read_only_folder_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let Some(disk) = Mount::tmpfs(&folder.path().join("disk"), "size=16m") else { return };
    let fresh = Setup::new(&folder.path().join("disk/fresh"));
    let used = Setup::new(&folder.path().join("disk/used"));
    used.users(1);
    disk.remount("ro");
    for setup in [&fresh, &used] {
        let said = setup.refused().await;
        assert!(said.contains("read-only") && said.contains(setup.data.to_str().unwrap()), "{said}");
    }
    disk.remount("rw");
    used.start().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_folder_that_is_a_file_is_refused() {
    let (_folder, setup) = folder();
    std::fs::write(&setup.data, "no folder").unwrap();
    let said = setup.refused().await;
    assert!(said.contains(setup.data.to_str().unwrap()), "{said}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_second_process_on_the_folder_is_refused() {
    let (_folder, setup) = folder();
    let users = setup.users(1);
    let server = setup.start().await;
    let said = setup.refused().await;
    assert!(said.contains("in use by another process") && said.contains(setup.data.to_str().unwrap()), "{said}");
    // The first one is none the worse.
    let mut socket = Raw::ready(server.address(), &users[0].token).await;
    let room = socket.create("mine", &[]).await;
    assert_eq!(socket.post(room, "still here").await, 2);
    let mode = setup.data.metadata().unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o700);
}

/// Kills a server under load, cuts its write-ahead log, and starts it again.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_cut_log_leaves_a_prefix_and_resets_who_is_ahead() {
    let mut stage = Stage::set(2, 4).await;
    let traffic = stage.traffic(2);
    stage.acked_more(200).await;
    stage.server.kill();
    let path = stage.server.setup.data.join("parlance.db-wal");
    let wal = std::fs::OpenOptions::new().write(true).open(&path).unwrap();
    let length = wal.metadata().unwrap().len();
    wal.set_len(length - length / 3 - 100).unwrap();
    drop(wal);
    let before: Vec<u64> =
        stage.rooms.iter().enumerate().map(|(at, room)| stage.of_room(at)[3].see(|s| s.seq(*room))).collect();
    stage.server.restart().await;
    for (at, room) in stage.rooms.iter().enumerate() {
        for client in stage.of_room(at) {
            client.until("the reset", |state| state.resets > 0 && state.positions.contains_key(room)).await;
        }
    }
    stage.acked_more(50).await;
    traffic.stop().await;
    // The log has no gap: the checker reads it all. That acknowledged messages are gone is what was done to it.
    let (journals, _data, _server) = stage.close().await;
    let counts = checker::loses(&journals);
    assert_eq!(
        (&counts["gaps"], &counts["order"], &counts["acks_wrong"]),
        (&json!(0), &json!(0), &json!(0)),
        "{counts}"
    );
    println!("cut {} of {length} bytes; rooms were at {before:?}; lost {}", length / 3 + 100, counts["lost"]);
}
