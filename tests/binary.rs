//! The release binary is one static file.

mod harness;

use harness::sexton_binary;

/// The program headers of a 64-bit little-endian ELF file, by their types (elf(5)).
fn program_header_types(elf: &[u8]) -> Vec<u32> {
    let u16_at = |at: usize| usize::from(u16::from_le_bytes(elf[at..at + 2].try_into().unwrap()));
    let offset = u64::from_le_bytes(elf[32..40].try_into().unwrap()) as usize;
    let (size, count) = (u16_at(54), u16_at(56));
    (0..count)
        .map(|index| {
            let at = offset + index * size;
            u32::from_le_bytes(elf[at..at + 4].try_into().unwrap())
        })
        .collect()
}

#[test]
fn the_binary_names_no_interpreter_and_no_shared_library() {
    let elf = std::fs::read(sexton_binary()).unwrap();
    assert_eq!(&elf[..6], b"\x7fELF\x02\x01", "a 64-bit little-endian ELF file");
    const PT_INTERP: u32 = 3;
    assert!(!program_header_types(&elf).contains(&PT_INTERP), "it asks for a loader");
    let readelf = harness::command("readelf").arg("-d").arg(sexton_binary()).output();
    let readelf = readelf.expect("readelf is missing: apt-get install binutils");
    let dynamic = String::from_utf8_lossy(&readelf.stdout);
    assert!(!dynamic.contains("(NEEDED)"), "it needs shared libraries: {dynamic}");
}
