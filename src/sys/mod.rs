//! The kernel, one file per facility. All `unsafe` code of sexton is below this folder.
//!
//! Types are named after the kernel's own words; everything they offer is safe to call.

#![allow(unsafe_code)]

mod append;
mod cgroup;
mod cpu;
mod descriptors;
mod directory;
mod entry;
mod file;
mod first;
mod left;
mod limits;
mod mark;
mod memory;
mod mounts;
mod nested;
mod oom;
mod orphans;
mod output;
mod parent;
mod pids;
mod proc;
mod process;
mod reap;
mod signals;
mod socket;
mod spawn;
mod status;
mod systemd;
mod terminal;
mod throttling;
mod unshared;
mod usage;
mod waiting;

pub use append::Appended;
pub use cgroup::{Cgroup, NotSeen};
pub use cpu::{CpuLimit, reached_cpu_limit};
pub use descriptors::{close_all_but_log, leave_working_directory};
pub use directory::each_name;
pub use entry::{Args, Environment, Start, exit, start};
pub use file::{
    Opened, demanded_capabilities, effective_uid, exists, has_our_file, is_on_noexec_mount, may_execute, open, read_at,
    read_text,
};
pub use left::{Descent, each_left, each_other, is_descendant, is_machine, pause_a_moment};
pub use limits::{AtLimit, HeldBack, Limits, is_frozen};
pub use mark::{make_mark, remove_mark};
pub use memory::Allocator;
pub use mounts::mount_point;
pub use nested::Badge;
pub use oom::{Ceiling, Memory};
pub use orphans::{GroupStop, Sent, each_of_ours, kill_orphans, none_in_namespace, note_old_sessions, signal_orphans};
pub use output::{stderr_is_ours, write_stderr, write_stdout, write_stdout_at_once};
pub use parent::Parent;
pub use proc::{NoProc, Process, called_by, each_child, process, processor_time, since_boot, tracer};
pub use process::{
    become_subreaper, monotonic_now, monotonic_now_once, own_pid, own_status, process_limit, set_own_name,
    size_of_kernels_pointer, stack_limit, unix_time,
};
pub use reap::{Change, ChangeKind, Children, Death, Reaper, Reaping, can_be_reaped, children, is_dead};
pub use signals::{
    Inbox, Inherited, SendError, die_by, send, send_held_back, send_to_group, send_to_orphaned_group, stop_self,
    suspend_self,
};
pub use socket::{Address, Connection};
pub use spawn::{Candidates, Failure, Launch, Missed, Started, spawn};
pub use status::Status;
pub use terminal::{Terminal, is_one_of_several, leads_session, leave_terminal};
pub use throttling::{Throttling, throttling};
pub use usage::Usage;
pub use waiting::{SystemCall, WaitChannel};

/// What reads the kernel's texts, for fuzz/.
#[doc(hidden)]
pub mod parsers {
    pub use super::cgroup::cgroup_in;
    pub use super::oom::oom_kills;
    pub use super::proc::parse_stat;
    pub use super::status::status_of;
    pub use super::waiting::parse_system_call;
}
