//! Has the linker start sexton at its own first instruction (src/sys/first.rs).

fn main() {
    println!("cargo::rerun-if-changed=build.rs");
    println!("cargo::rustc-link-arg-bin=sexton=-Wl,--entry=sexton_start");
}
