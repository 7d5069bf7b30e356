//! Debian's load balancers in front of the replicas, as they are set up by those who run them.

use std::fs;
use std::net::TcpListener;
use std::process::{Child, Stdio};

use crate::harness::names::{self, Folder};
use crate::harness::{command, installed, run_name, wait_until};
use crate::load::get;
use crate::replicas::Replica;

/// A program in the foreground with a folder of its own, both gone with it.
struct Program {
    child: Child,
    folder: Folder,
}

impl Program {
    fn start(program: &str, package: &str, args: &[&str], config: &str) -> Program {
        let folder = Folder::named(&format!("{}-{}", run_name(), names::random()));
        let path = folder.0.to_str().unwrap();
        fs::write(folder.path("config"), config.replace("FOLDER", path)).unwrap();
        let log = fs::File::create(folder.path("log")).unwrap();
        let mut command = command(installed(program, package));
        command.args(args.iter().map(|arg| arg.replace("FOLDER", path)));
        let child = command.stdin(Stdio::null()).stdout(log.try_clone().unwrap()).stderr(log).spawn().unwrap();
        Program { child, folder }
    }
}

impl Drop for Program {
    fn drop(&mut self) {
        if std::thread::panicking() {
            eprintln!("{}", fs::read_to_string(self.folder.path("log")).unwrap_or_default());
        }
        // SIGTERM: nginx has its workers end as well.
        let pid = nix::unistd::Pid::from_raw(self.child.id() as i32);
        let _ = nix::sys::signal::kill(pid, nix::sys::signal::Signal::SIGTERM);
        let _ = self.child.wait();
    }
}

/// One that nobody listens on now.
fn free_address() -> String {
    TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().to_string()
}

fn wait_for_first_answer(address: &str) {
    wait_until("the load balancer answers", || get(address, "/") == Some(200));
}

/// Active checks every 500 ms, one failure counts, and no second try for a request.
pub struct Haproxy {
    pub address: String,
    stats: String,
    _program: Program,
}

impl Haproxy {
    pub fn before(replicas: &[Replica]) -> Haproxy {
        let (address, stats) = (free_address(), free_address());
        let servers: String = replicas
            .iter()
            .map(|replica| {
                format!("    server {} {} check inter 500ms fall 1 rise 1\n", replica.name, replica.address())
            })
            .collect();
        let config = format!(
            "global\n    maxconn 1000\n\
             defaults\n    mode http\n    retries 0\n    timeout connect 5s\n    timeout client 30s\n    timeout server 30s\n\
             frontend web\n    bind {address}\n    default_backend replicas\n\
             frontend stats\n    bind {stats}\n    stats enable\n    stats uri /stats\n\
             backend replicas\n    balance roundrobin\n    option httpchk GET /ready\n{servers}"
        );
        let program = Program::start("haproxy", "haproxy", &["-db", "-f", "FOLDER/config"], &config);
        wait_for_first_answer(&address);
        let haproxy = Haproxy { address, stats, _program: program };
        wait_until("both replicas are up", || replicas.iter().all(|replica| haproxy.is_up(replica.name)));
        haproxy
    }

    /// Whether it sends requests to this one, by its own page of statistics.
    pub fn is_up(&self, name: &str) -> bool {
        let Some(page) = crate::load::page(&self.stats, "/stats;csv") else { return false };
        let line = format!("replicas,{name},");
        page.lines().any(|known| known.starts_with(&line) && known.split(',').nth(17) == Some("UP"))
    }
}

/// Nothing but failed requests takes a replica out, and a request is tried once more elsewhere: its default.
pub struct Nginx {
    pub address: String,
    _program: Program,
}

impl Nginx {
    pub fn before(replicas: &[Replica]) -> Nginx {
        let address = free_address();
        let servers: String = replicas
            .iter()
            .map(|replica| format!("server {} max_fails=1 fail_timeout=1s; ", replica.address()))
            .collect();
        let config = format!(
            "daemon off; worker_processes 1; pid FOLDER/pid; error_log stderr;\n\
             events {{ worker_connections 256; }}\n\
             http {{ access_log off;\n\
               client_body_temp_path FOLDER/body; proxy_temp_path FOLDER/proxy; fastcgi_temp_path FOLDER/fastcgi;\n\
               uwsgi_temp_path FOLDER/uwsgi; scgi_temp_path FOLDER/scgi;\n\
               upstream replicas {{ {servers}keepalive 8; }}\n\
               server {{ listen {address};\n\
                 location / {{ proxy_pass http://replicas; proxy_http_version 1.1; proxy_set_header Connection \"\"; }} }} }}\n"
        );
        let args = ["-c", "FOLDER/config", "-p", "FOLDER", "-e", "stderr"];
        let program = Program::start("nginx", "nginx-light", &args, &config);
        wait_for_first_answer(&address);
        Nginx { address, _program: program }
    }
}
