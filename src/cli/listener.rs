//! Whose process listens at an address of this machine, as far as the system tells.
//!
//! Source: `/proc/net/tcp`, as Linux's Documentation/networking/proc_net_tcp.rst describes it.

use std::fs;
use std::net::{IpAddr, SocketAddr};

const TABLES: [&str; 2] = ["/proc/net/tcp", "/proc/net/tcp6"];
/// The state of a socket that listens.
const LISTENS: &str = "0A";

/// A user other than this process's and root whose process listens at `address`. `None` where no process does, or the system has
/// no such table.
pub(super) fn stranger_at(address: SocketAddr) -> Option<u32> {
    let ours = rustix::process::geteuid().as_raw();
    let tables = TABLES.iter().filter_map(|table| fs::read_to_string(table).ok());
    tables.flat_map(|table| listeners(&table, address)).find(|uid| *uid != ours && *uid != 0)
}

/// The users whose sockets listen at an address, by a table of sockets.
fn listeners(table: &str, address: SocketAddr) -> Vec<u32> {
    let port = format!("{:04X}", address.port());
    let ip = match address.ip().to_canonical() {
        IpAddr::V4(ip) => word(ip.octets()),
        IpAddr::V6(ip) => ip.octets().chunks_exact(4).filter_map(|bytes| bytes.try_into().ok()).map(word).collect(),
    };
    let user = |line: &str| {
        let mut fields = line.split_whitespace().skip(1);
        let (at, at_port) = fields.next()?.split_once(':')?;
        let state = fields.nth(1)?;
        let uid = fields.nth(3)?.parse().ok()?;
        // One that listens everywhere, or at the address itself; in IPv6's table an address of IPv4 has a beginning.
        let is_there = at.bytes().all(|digit| digit == b'0')
            || at == ip
            || at == format!("0000000000000000{}{ip}", word([0, 0, 255, 255]));
        (is_there && at_port == port && state == LISTENS).then_some(uid)
    };
    table.lines().filter_map(user).collect()
}

/// Four bytes of an address as the table has them: a number of this machine's order.
fn word(bytes: [u8; 4]) -> String {
    format!("{:08X}", u32::from_ne_bytes(bytes))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    #[cfg(target_endian = "little")]
    fn a_listener_is_found_by_its_address_or_where_it_listens_everywhere() {
        let table = "\
            sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode\n\
            0: 0100007F:1CF3 00000000:0000 0A 00000000:00000000 00:00000000 00000000  1000        0 1 1\n\
            1: 00000000:1CF3 00000000:0000 0A 00000000:00000000 00:00000000 00000000  1001        0 2 1\n\
            2: 0200007F:1CF3 00000000:0000 0A 00000000:00000000 00:00000000 00000000  1002        0 3 1\n\
            3: 0100007F:1CF3 0100007F:9C40 01 00000000:00000000 00:00000000 00000000  1003        0 4 1\n\
            4: 0100007F:1CF4 00000000:0000 0A 00000000:00000000 00:00000000 00000000  1004        0 5 1\n\
            5: 0000000000000000FFFF00000100007F:1CF3 0:0 0A 00000000:00000000 00:00000000 00000000  1005        0 6 1\n\
            6: 00000000000000000000000001000000:1CF3 0:0 0A 00000000:00000000 00:00000000 00000000  1006        0 7 1\n";
        assert_eq!(listeners(table, "127.0.0.1:7411".parse().unwrap()), [1000, 1001, 1005]);
        assert_eq!(listeners(table, "[::1]:7411".parse().unwrap()), [1001, 1006]);
    }

    #[test]
    fn ones_own_listener_is_no_strangers() {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        assert_eq!(stranger_at(listener.local_addr().unwrap()), None);
    }
}
