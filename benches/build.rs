//! Has the linker leave libc out of the two programs that are to cost nothing themselves.

fn main() {
    println!("cargo::rerun-if-changed=build.rs");
    for program in ["floor", "command"] {
        for argument in
            ["-nostartfiles", "-nostdlib", "-static", "-no-pie", "-Wl,--build-id=none", "-Wl,-z,noseparate-code"]
        {
            println!("cargo::rustc-link-arg-bin={program}={argument}");
        }
    }
}
