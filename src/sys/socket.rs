//! A connection to a server, with a deadline for everything.

use std::ffi::CString;
use std::net::SocketAddr;
use std::os::fd::{AsFd, AsRawFd, OwnedFd};
use std::time::Duration;

use nix::errno::Errno;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::socket::{
    AddressFamily, MsgFlags, SockFlag, SockType, SockaddrIn, SockaddrIn6, UnixAddr, connect, getsockopt, recv, send,
    socket, sockopt,
};

use super::process::monotonic_now;

/// Where a server listens.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Address {
    /// An IP address and a port.
    Inet(SocketAddr),
    /// The path of a socket (unix(7)).
    Unix(CString),
}

/// A connection.
#[derive(Debug)]
pub struct Connection(OwnedFd);

impl Connection {
    /// Connects, until the deadline on the clock of [`monotonic_now`].
    ///
    /// # Errors
    ///
    /// All of connect(2)'s; `ETIMEDOUT` at the deadline.
    pub fn to(address: &Address, deadline: Duration) -> Result<Connection, Errno> {
        let family = match address {
            Address::Inet(SocketAddr::V4(_)) => AddressFamily::Inet,
            Address::Inet(SocketAddr::V6(_)) => AddressFamily::Inet6,
            Address::Unix(_) => AddressFamily::Unix,
        };
        let flags = SockFlag::SOCK_NONBLOCK | SockFlag::SOCK_CLOEXEC;
        let connection = Connection(socket(family, SockType::Stream, flags, None)?);
        loop {
            let number = connection.0.as_raw_fd();
            let connected = match address {
                Address::Inet(SocketAddr::V4(address)) => connect(number, &SockaddrIn::from(*address)),
                Address::Inet(SocketAddr::V6(address)) => connect(number, &SockaddrIn6::from(*address)),
                Address::Unix(path) => connect(number, &UnixAddr::new(path.as_c_str())?),
            };
            match connected {
                Ok(()) => return Ok(connection),
                Err(Errno::EINPROGRESS) => {
                    connection.wait(PollFlags::POLLOUT, deadline)?;
                    let error = getsockopt(&connection.0, sockopt::SocketError)?;
                    return if error == 0 { Ok(connection) } else { Err(Errno::from_raw(error)) };
                }
                // A Unix socket whose backlog is full: there is nothing to wait for but time.
                Err(Errno::EAGAIN) => rest(deadline)?,
                Err(errno) => return Err(errno),
            }
        }
    }

    /// Sends all of it. A closed connection raises no SIGPIPE.
    ///
    /// # Errors
    ///
    /// All of send(2)'s; `ETIMEDOUT` at the deadline.
    pub fn send(&self, mut bytes: &[u8], deadline: Duration) -> Result<(), Errno> {
        while !bytes.is_empty() {
            match send(self.0.as_raw_fd(), bytes, MsgFlags::MSG_NOSIGNAL) {
                Ok(sent) => bytes = bytes.get(sent..).unwrap_or_default(),
                Err(Errno::EAGAIN) => self.wait(PollFlags::POLLOUT, deadline)?,
                Err(errno) => return Err(errno),
            }
        }
        Ok(())
    }

    /// Receives some bytes; 0 at the end.
    ///
    /// # Errors
    ///
    /// All of recv(2)'s; `ETIMEDOUT` at the deadline.
    pub fn receive(&self, room: &mut [u8], deadline: Duration) -> Result<usize, Errno> {
        loop {
            // Also where there always is something to receive.
            self.wait(PollFlags::POLLIN, deadline)?;
            match recv(self.0.as_raw_fd(), room, MsgFlags::empty()) {
                Err(Errno::EAGAIN) => {}
                received => return received,
            }
        }
    }

    fn wait(&self, what: PollFlags, deadline: Duration) -> Result<(), Errno> {
        loop {
            let mut descriptors = [PollFd::new(self.0.as_fd(), what)];
            match poll(&mut descriptors, time_left(deadline)?) {
                Ok(0) | Err(Errno::EINTR) => {}
                Ok(_) => return Ok(()),
                Err(errno) => return Err(errno),
            }
        }
    }
}

/// The time up to the deadline, in whole milliseconds, a begun one counted.
fn time_left(deadline: Duration) -> Result<PollTimeout, Errno> {
    let left = deadline.checked_sub(monotonic_now()).filter(|left| !left.is_zero()).ok_or(Errno::ETIMEDOUT)?;
    let milliseconds = i32::try_from(left.as_millis().saturating_add(1)).unwrap_or(i32::MAX);
    Ok(PollTimeout::try_from(milliseconds).unwrap_or(PollTimeout::MAX))
}

/// Ten milliseconds, or up to the deadline.
fn rest(deadline: Duration) -> Result<(), Errno> {
    let left = time_left(deadline)?;
    poll(&mut [], left.min(PollTimeout::from(10_u8))).map(drop)
}
