//! moto's server: AWS APIs written by others, S3 among them.

use std::net::{TcpListener, TcpStream};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use crate::repository;

/// Its first start installs it.
const START_LIMIT: Duration = Duration::from_secs(300);

/// A server that ends with the test.
pub struct Moto {
    process: Child,
    /// Host and port.
    pub address: String,
}

impl Moto {
    /// Starts one; none on a machine without the scripts that install it.
    #[must_use]
    pub fn start() -> Option<Self> {
        let script = repository().join("../shared/tools/aws-emulators/moto.sh");
        if !script.exists() {
            return None;
        }
        let free = TcpListener::bind("127.0.0.1:0").and_then(|listener| listener.local_addr());
        let address = free.expect("a port of this machine").to_string();
        let port = address.rsplit(':').next().unwrap_or_default();
        let process = Command::new(script)
            .arg(port)
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .expect("moto can be started");
        let started = Instant::now();
        while TcpStream::connect(&address).is_err() {
            assert!(started.elapsed() < START_LIMIT, "moto does not answer at {address}");
            std::thread::sleep(Duration::from_millis(200));
        }
        Some(Self { process, address })
    }
}

impl Drop for Moto {
    fn drop(&mut self) {
        // The script has become the server itself.
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}
