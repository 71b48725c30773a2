//! Network namespaces: one for each node, joined to the test's own by a pair of virtual interfaces.

use std::net::Ipv4Addr;
use std::process::{Command, Stdio};

/// Where NATS and the CQL server listen, in the test's own namespace.
pub const HUB: Ipv4Addr = Ipv4Addr::new(10, 77, 0, 1);

/// Runs a command that must succeed.
fn run(words: &[&str]) {
    let out = Command::new(words[0]).args(&words[1..]).stdin(Stdio::null()).output();
    let out = out.unwrap_or_else(|error| panic!("{words:?}: {error}"));
    assert!(out.status.success(), "{words:?}: {}", String::from_utf8_lossy(&out.stderr));
}

/// Makes the test's own namespace ready. It must be a new one: nothing but the loopback interface is in it.
pub fn hub() {
    let links = Command::new("ip").args(["-brief", "link"]).output().unwrap().stdout;
    let links = String::from_utf8(links).unwrap();
    let real = links.lines().filter(|line| !line.starts_with("lo ") && !line.contains("NOARP")).count();
    assert_eq!(real, 0, "not a network namespace of the test's own: run `./test chaos`\n{links}");
    run(&["ip", "link", "set", "lo", "up"]);
    run(&["ip", "address", "add", &format!("{HUB}/32"), "dev", "lo"]);
}

/// A node's namespace; it goes when this is dropped.
pub struct Place {
    pub name: String,
    pub address: Ipv4Addr,
}

/// Which packets of a node are dropped.
#[derive(Clone, Copy, Debug)]
pub enum Way {
    /// Those that it sends.
    Out,
    /// Those that it should receive.
    In,
}

impl Place {
    pub fn new(at: u8) -> Self {
        let name = format!("parlance-{}-{at}", std::process::id());
        let (here, there) = (format!("pc{at}"), "eth0");
        let (hub, address) = (Ipv4Addr::new(10, 77, at + 1, 1), Ipv4Addr::new(10, 77, at + 1, 2));
        run(&["ip", "netns", "add", &name]);
        run(&["ip", "link", "add", &here, "type", "veth", "peer", "name", there, "netns", &name]);
        run(&["ip", "address", "add", &format!("{hub}/24"), "dev", &here]);
        run(&["ip", "link", "set", &here, "up"]);
        let place = Self { name, address };
        place.within(&["ip", "link", "set", "lo", "up"]);
        place.within(&["ip", "address", "add", &format!("{address}/24"), "dev", there]);
        place.within(&["ip", "link", "set", there, "up"]);
        place.within(&["ip", "route", "add", "default", "via", &hub.to_string()]);
        place
    }

    fn within(&self, words: &[&str]) {
        run(&[&["ip", "netns", "exec", &self.name], words].concat());
    }

    /// Has the node's connections to a port of the hub's go to another one.
    pub fn redirect(&self, port: u16, to: u16) {
        let (port, to) = (port.to_string(), format!("{HUB}:{to}"));
        let rule = ["iptables", "-t", "nat", "-A", "OUTPUT", "-p", "tcp", "-d", &HUB.to_string(), "--dport", &port];
        self.within(&[&rule[..], &["-j", "DNAT", "--to-destination", &to]].concat());
    }

    /// Drops packets between the node and a port of the hub's.
    pub fn cut(&self, port: u16, way: Way) {
        let port = port.to_string();
        let (chain, end) = match way {
            Way::Out => ("OUTPUT", "--dport"),
            Way::In => ("INPUT", "--sport"),
        };
        self.within(&["iptables", "-A", chain, "-p", "tcp", end, &port, "-j", "DROP"]);
    }

    /// Lets everything through again.
    pub fn mend(&self) {
        self.within(&["iptables", "--flush"]);
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let _ = Command::new("ip").args(["netns", "delete", &self.name]).status();
    }
}
