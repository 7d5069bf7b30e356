//! sexton as the first process of a machine: /sbin/init of an initramfs, under the kernels of
//! Debian's releases, in QEMU's software emulation.
//!
//! `make kernels`, or `make kernels-quick` for one kernel.

#[path = "kernels/machine.rs"]
mod machine;

use machine::{AARCH64, ARM_V7, Kernel, Kind, Machine, PPC64LE, RISCV64, S390X, X86_64};

/// The kernel for what needs only one of them.
const ONE: Kernel = Kernel { release: "bookworm", kind: &X86_64 };

/// The core table (kernels/core): tests that run in the machine, beneath sexton as its first process.
#[track_caller]
fn passes_the_core_table(release: &'static str, kind: &'static Kind) {
    let console = Machine::boot(Kernel { release, kind }, "-- /bin/busybox sh /table").off();
    let lines = |beginning: &'static str| console.lines().filter_map(move |line| line.strip_prefix(beginning));

    let first: Vec<&str> = lines("first process: ").collect();
    assert!(first.len() == 5 && first.iter().all(|line| line.starts_with("ok ")), "{console}");
    let mut table: Vec<&str> = lines("table: ").collect();
    let over = table.pop().filter(|line| line.starts_with("over after "));
    let over = over.unwrap_or_else(|| panic!("the machine went off before the end of the table:\n{console}"));
    let statuses: Vec<_> = table.iter().filter_map(|line| line.split_once(" ended with status ")).collect();
    assert!(!statuses.is_empty() && statuses.iter().all(|(_, status)| *status == "0"), "{console}");

    // That each test of the list was there and passed.
    let listed = kind.table().len();
    let passed = lines("test result: ok. ").filter_map(|line| line.split(' ').next()?.parse::<usize>().ok());
    assert_eq!(passed.sum::<usize>(), listed, "{console}");
    let kernel = lines("kernel: ").next().unwrap_or_default();
    println!("{kernel} ({release}): {} checks of the first process, {listed} tests; {over}", first.len());
}

#[test]
fn the_core_table_passes_under_the_kernel_of_bullseye_on_x86_64() {
    passes_the_core_table("bullseye", &X86_64);
}

#[test]
fn the_core_table_passes_under_the_kernel_of_bookworm_on_x86_64() {
    passes_the_core_table("bookworm", &X86_64);
}

#[test]
fn the_core_table_passes_under_the_kernel_of_trixie_on_x86_64() {
    passes_the_core_table("trixie", &X86_64);
}

#[test]
fn the_core_table_passes_under_the_kernel_of_sid_on_x86_64() {
    passes_the_core_table("sid", &X86_64);
}

#[test]
fn the_core_table_passes_under_the_kernel_of_bullseye_on_aarch64() {
    passes_the_core_table("bullseye", &AARCH64);
}

#[test]
fn the_core_table_passes_under_the_kernel_of_bookworm_on_aarch64() {
    passes_the_core_table("bookworm", &AARCH64);
}

#[test]
fn the_core_table_passes_under_the_kernel_of_bookworm_on_ppc64le() {
    passes_the_core_table("bookworm", &PPC64LE);
}

#[test]
fn the_core_table_passes_under_the_kernel_of_trixie_on_riscv64() {
    passes_the_core_table("trixie", &RISCV64);
}

#[test]
fn the_core_table_passes_under_the_kernel_of_bookworm_on_s390x() {
    passes_the_core_table("bookworm", &S390X);
}

#[test]
fn the_core_table_passes_under_the_kernel_of_bookworm_on_arm_v7() {
    passes_the_core_table("bookworm", &ARM_V7);
}

#[test]
fn the_end_of_the_command_is_the_end_of_the_machine_with_its_status() {
    let mut machine = Machine::boot(ONE, "-- -v /bin/busybox sh -c \"exit 7\"");
    machine.wait_for("sexton: /bin/busybox (pid ");
    // The status is the second byte, as in wait(2).
    machine.wait_for_each(&["exited with status 7", "Attempted to kill init! exitcode=0x00000700"]);
    machine.off();
}

/// And then the machine ends with the command's status.
#[track_caller]
fn waits_for_orphans(kernel: Kernel) {
    let script = ". /mounts; (sleep 1; echo the orphan is done) & exit 7";
    let mut machine = Machine::boot(kernel, &format!("SEXTON_ORPHANS=wait -- /bin/busybox sh -c \"{script}\""));
    machine.wait_for_each(&["the orphan is done", "Attempted to kill init! exitcode=0x00000700"]);
    machine.off();
}

#[test]
fn orphans_are_waited_for_though_the_kernels_threads_never_end() {
    waits_for_orphans(ONE);
}

#[track_caller]
fn kills_what_does_not_stop(kernel: Kernel) {
    let script = ". /mounts; trap '' TERM; kill -TERM 1; read x";
    let settings = "SEXTON_GRACE_PERIOD=1s SEXTON_ORPHANS=stop";
    let mut machine = Machine::boot(kernel, &format!("{settings} -- /bin/busybox sh -c \"{script}\""));
    machine.wait_for_each(&[
        "did not stop within 1s of SIGTERM: it ignores SIGTERM (",
        "; killed with SIGKILL; SIGTERM came from pid ",
        "Attempted to kill init! exitcode=0x00008900",
    ]);
    machine.off();
}

#[test]
fn a_command_that_does_not_stop_is_killed_and_no_thread_of_the_kernels_is_named() {
    kills_what_does_not_stop(ONE);
}

#[track_caller]
fn ends_in_time(release: &'static str, kind: &'static Kind) {
    let kernel = Kernel { release, kind };
    waits_for_orphans(kernel);
    kills_what_does_not_stop(kernel);
}

#[test]
fn the_machine_ends_with_the_command_and_its_orphans_and_after_the_grace_period_on_ppc64le() {
    ends_in_time("bookworm", &PPC64LE);
}

#[test]
fn the_machine_ends_with_the_command_and_its_orphans_and_after_the_grace_period_on_riscv64() {
    ends_in_time("trixie", &RISCV64);
}

#[test]
fn the_machine_ends_with_the_command_and_its_orphans_and_after_the_grace_period_on_s390x() {
    ends_in_time("bookworm", &S390X);
}

#[test]
fn the_machine_ends_with_the_command_and_its_orphans_and_after_the_grace_period_on_arm_v7() {
    ends_in_time("bookworm", &ARM_V7);
}

#[test]
fn a_lack_of_memory_in_a_cgroup_of_version_2_is_told_and_with_oom_group_sexton_is_killed_along() {
    let mut machine = Machine::boot(ONE, "-- /bin/busybox sh /memory");
    let told = "/t/examples/probe (pid ";
    machine.wait_for(told);
    machine.wait_for("exited with status 3; ");
    machine.wait_for("in its cgroup the kernel killed 1 process for lack of memory while it ran (limit 24 MiB, peak 24 MiB, oom_kill 0 → 1)");
    machine.wait_for("memory.oom.group 0: status 3");
    machine.wait_for("memory.oom.group 1: status 137");
    // The kernel gave the second sexton no time for a last word; the first one was in no such cgroup.
    let console = machine.off();
    assert_eq!(console.matches(told).count(), 1, "{console}");
}

#[test]
fn ctrl_alt_del_is_a_stop_signal_like_any_other() {
    let script = ". /mounts; echo 0 >/proc/sys/kernel/ctrl-alt-del; trap 'echo told; poweroff -f' INT; echo ready; \
                  while :; do read x; done";
    let settings = "SEXTON_STOP_SIGNALS=INT SEXTON_PRE_STOP_SLEEP=1s SEXTON_LOG=info";
    let mut machine = Machine::boot(ONE, &format!("{settings} -- /bin/busybox sh -c \"{script}\""));
    machine.wait_for("ready");
    machine.press_ctrl_alt_del();
    machine.wait_for("sexton: shutdown begins: SIGINT from the kernel; sleeping 1s before forwarding it");
    // The command may be quicker to say so than sexton.
    let console = machine.off();
    for said in ["forwarded SIGINT to /bin/busybox", "\ntold"] {
        assert!(console.contains(said), "{said}: {console}");
    }
}

#[test]
fn on_a_serial_line_the_keys_of_a_terminal_reach_the_command_beneath_a_second_sexton() {
    let script = ". /mounts; echo ready; setsid -c /sbin/init -- cat </dev/ttyS0 >/dev/ttyS0; echo status $?; \
                  poweroff -f";
    let mut machine = Machine::boot(ONE, &format!("-- /bin/busybox sh -c \"{script}\""));
    machine.wait_for("ready");
    machine.type_keys("hello\n");
    machine.wait_for("hello\nhello\n");
    machine.type_keys("\x03");
    machine.wait_for("status 130");
    machine.off();
}
