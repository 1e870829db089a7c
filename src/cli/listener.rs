//! Finds out which user's process listens at an address of this machine, as far as the system reports it.
//!
//! Source: `/proc/net/tcp`, as described in Linux's Documentation/networking/proc_net_tcp.rst.

use std::fs;
use std::net::{IpAddr, SocketAddr};

const TABLES: [&str; 2] = ["/proc/net/tcp", "/proc/net/tcp6"];
/// The state of a listening socket.
const LISTENING: &str = "0A";

/// A user, other than root and the user of this process, whose process listens at `address`. `None` if there is no such
/// process, or if the system has no such table.
pub(super) fn foreign_user_at(address: SocketAddr) -> Option<u32> {
    let ours = rustix::process::geteuid().as_raw();
    let tables = TABLES.iter().filter_map(|table| fs::read_to_string(table).ok());
    tables.flat_map(|table| listeners(&table, address)).find(|uid| *uid != ours && *uid != 0)
}

/// The users whose sockets listen at an address according to a table of sockets.
fn listeners(table: &str, address: SocketAddr) -> Vec<u32> {
    let port = format!("{:04X}", address.port());
    let ip = match address.ip().to_canonical() {
        IpAddr::V4(ip) => word(ip.octets()),
        IpAddr::V6(ip) => ip.octets().chunks_exact(4).filter_map(|bytes| bytes.try_into().ok()).map(word).collect(),
    };
    let user = |line: &str| {
        // The fields of a line: number, local address, remote address, state, queues, timer, retransmissions, user.
        let mut fields = line.split_whitespace().skip(1);
        let (at, at_port) = fields.next()?.split_once(':')?;
        let state = fields.nth(1)?;
        let uid = fields.nth(3)?.parse().ok()?;
        // Matches a socket that listens at any address, at this one, or at this IPv4 address in the IPv6 table.
        let matches_ip = at.bytes().all(|digit| digit == b'0')
            || at == ip
            || at == format!("0000000000000000{}{ip}", word([0, 0, 255, 255]));
        (matches_ip && at_port == port && state == LISTENING).then_some(uid)
    };
    table.lines().filter_map(user).collect()
}

/// Formats four bytes of an address as the table does: as a number in this machine's byte order.
fn word(bytes: [u8; 4]) -> String {
    format!("{:08X}", u32::from_ne_bytes(bytes))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    #[cfg(target_endian = "little")]
    fn a_listener_is_found_at_its_address_and_at_the_unspecified_address() {
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
    fn a_listener_of_the_same_user_is_not_reported() {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        assert_eq!(foreign_user_at(listener.local_addr().unwrap()), None);
    }
}
