//! TCP ports on 127.0.0.1: picking a free one, and saying clearly that a wanted one is taken.

use std::net::{Ipv4Addr, TcpListener};

use crate::{Error, Result};

/// How often a program that may listen anywhere is given another port, because somebody else took the picked one
/// before it could listen.
const ATTEMPTS: u32 = 5;

/// Where a program is to listen.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Port {
    /// Any free port.
    Any,
    /// This port and no other.
    Wanted {
        /// The port.
        number: u16,
        /// The environment variable with which the user changes it, for the error message.
        variable: &'static str,
    },
}

impl Port {
    /// The port to try now: the wanted one, or a free one.
    ///
    /// # Errors
    /// [`Error::PortTaken`] when the wanted port is in use.
    pub fn choose(self, wanted_by: &str) -> Result<u16> {
        match self {
            Self::Any => free(),
            Self::Wanted { number, variable } => require_free(number, wanted_by, variable).map(|()| number),
        }
    }

    /// How many ports are worth trying.
    pub(crate) fn attempts(self) -> u32 {
        match self {
            Self::Any => ATTEMPTS,
            Self::Wanted { .. } => 1,
        }
    }
}

/// A port on 127.0.0.1 that nobody listened on a moment ago.
///
/// Another program may take it before the caller listens there, so a caller that can should listen on port 0 itself.
///
/// # Errors
/// [`Error::Io`] when the system has no port left.
pub fn free() -> Result<u16> {
    TcpListener::bind((Ipv4Addr::LOCALHOST, 0))
        .and_then(|listener| listener.local_addr())
        .map(|address| address.port())
        .map_err(Error::io("cannot find a free port on 127.0.0.1"))
}

/// Whether nobody listens on this port of 127.0.0.1 (or of all addresses).
#[must_use]
pub fn is_free(port: u16) -> bool {
    TcpListener::bind((Ipv4Addr::LOCALHOST, port)).is_ok()
}

/// Checks that a wanted port can be listened on.
///
/// `wanted_by` names what will listen there and `variable` the environment variable that changes the port; both end
/// up in the message.
///
/// # Errors
/// [`Error::PortTaken`] when somebody listens there, [`Error::Io`] when the system refuses for another reason (a
/// port below 1024 needs privileges).
pub fn require_free(port: u16, wanted_by: &str, variable: &str) -> Result<()> {
    match TcpListener::bind((Ipv4Addr::LOCALHOST, port)) {
        Ok(_) => Ok(()),
        Err(error) if error.kind() == std::io::ErrorKind::AddrInUse => {
            Err(Error::PortTaken { port, wanted_by: wanted_by.to_owned(), variable: variable.to_owned() })
        }
        Err(source) => Err(Error::Io {
            context: format!("{wanted_by} cannot listen on port {port}, set {variable} to another one"),
            source,
        }),
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn a_free_port_can_be_listened_on() {
        let port = free().unwrap();
        assert!(is_free(port));
        require_free(port, "the test", "FFP_TEST_PORT").unwrap();
    }

    #[test]
    fn a_taken_port_is_named_with_what_wanted_it_and_the_variable_that_changes_it() {
        let holder = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        let number = holder.local_addr().unwrap().port();

        let error = Port::Wanted { number, variable: "FFP_TEST_PORT" }.choose("the test").unwrap_err();

        assert!(matches!(error, Error::PortTaken { port, .. } if port == number));
        let message = error.to_string();
        for part in [number.to_string().as_str(), "the test", "FFP_TEST_PORT"] {
            assert!(message.contains(part), "{message}");
        }
    }

    #[test]
    fn a_listener_on_all_addresses_takes_the_port_too() {
        let holder = TcpListener::bind((Ipv4Addr::UNSPECIFIED, 0)).unwrap();
        assert!(!is_free(holder.local_addr().unwrap().port()));
    }
}
