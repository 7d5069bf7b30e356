//! What a file is, by its bytes. Pure functions over what may be hostile: no index is trusted.

use std::fmt;

/// As much of a file as the kernel looks at to tell what it is (`BINPRM_BUF_SIZE`, linux/binfmts.h).
pub const HEAD: usize = 256;

/// What execve(2) makes of a file.
#[derive(Debug, PartialEq, Eq)]
pub enum Kind<'a> {
    /// Nothing is in it.
    Empty,
    /// It begins with `#!`.
    Script(FirstLine<'a>),
    /// It begins with the ELF magic.
    Elf(Result<Elf, Broken>),
    /// A text without `#!`: execvp(3) gives it to the shell.
    Text,
    /// Something else, with a name if it is known.
    Binary(Option<&'static str>),
}

/// The line that begins with `#!`.
#[derive(Debug, PartialEq, Eq)]
pub enum FirstLine<'a> {
    /// It names this interpreter.
    Interpreter(&'a [u8]),
    /// It names none.
    Nothing,
    /// The interpreter's name goes on behind what the kernel reads.
    TooLong,
}

/// What other systems call a program, and what a program comes packed in.
const OTHERS: [(&[u8], &str); 10] = [
    (b"MZ\x90\0", "a Windows program"),
    (b"\xcf\xfa\xed\xfe", "a macOS program"),
    (b"\xca\xfe\xba\xbe", "a macOS program or a Java class"),
    (b"\0asm", "a WebAssembly module"),
    (b"\x1f\x8b", "a gzip archive"),
    (b"PK\x03\x04", "a zip or jar archive"),
    (b"\xfd7zXZ", "an xz archive"),
    (b"\x28\xb5\x2f\xfd", "a zstd archive"),
    (b"\xff\xfe", "a text in UTF-16"),
    (b"\xfe\xff", "a text in UTF-16"),
];

impl Kind<'_> {
    /// By the first [`HEAD`] bytes, or all if there are not so many.
    pub fn of(head: &[u8]) -> Kind<'_> {
        let head = head.get(..HEAD).unwrap_or(head);
        if let Some(line) = head.strip_prefix(b"#!") {
            return Kind::Script(FirstLine::parse(line, head.len() == HEAD));
        }
        match head {
            [] => return Kind::Empty,
            [0x7f, b'E', b'L', b'F', ..] => return Kind::Elf(Elf::parse(head)),
            _ => {}
        }
        // As bash has it (check_binary_file in its general.c): what counts is the first line, so
        // that a script may carry an archive behind its last one. No text has control characters.
        let first_line = head.split(|byte| *byte == b'\n').next().unwrap_or_default();
        let is_text = |byte: &u8| !byte.is_ascii_control() || matches!(byte, b'\t' | b'\r' | 0x0b | 0x0c);
        match OTHERS.iter().find(|(magic, _)| head.starts_with(magic)) {
            Some((_, name)) => Kind::Binary(Some(name)),
            None if first_line.iter().all(is_text) => Kind::Text,
            None => Kind::Binary(None),
        }
    }
}

impl FirstLine<'_> {
    /// As load_script does (fs/binfmt_script.c): blanks around the name do not count, and it ends
    /// at a blank, at a NUL or with the line. A carriage return is a part of it.
    fn parse(line: &[u8], is_cut: bool) -> FirstLine<'_> {
        let is_blank = |byte: &u8| matches!(byte, b' ' | b'\t');
        let is_end = |byte: &u8| matches!(byte, b' ' | b'\t' | b'\n' | 0);
        let start = line.iter().position(|byte| !is_blank(byte)).unwrap_or(line.len());
        let name = line.get(start..).unwrap_or_default();
        match name.iter().position(is_end) {
            Some(0) => FirstLine::Nothing,
            Some(end) => FirstLine::Interpreter(name.get(..end).unwrap_or_default()),
            None if is_cut => FirstLine::TooLong,
            None if name.is_empty() => FirstLine::Nothing,
            None => FirstLine::Interpreter(name),
        }
    }
}

/// What is wrong with an ELF file, whatever the machine.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Broken {
    /// It ends too early.
    Truncated,
    /// Its header makes no sense.
    Corrupt,
}

/// The header of an ELF file (elf(5)).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Elf {
    /// What it is built for.
    pub target: Target,
    /// Whether it is linked: `ET_EXEC` or `ET_DYN`.
    pub is_program: bool,
    /// Where the program headers are, and how many bytes.
    pub table: (u64, usize),
}

/// A kind of machine.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Target {
    /// `e_machine`.
    pub machine: u16,
    /// `EI_CLASS`: whether it is 64-bit.
    pub is_64: bool,
    /// `EI_DATA`.
    pub is_big_endian: bool,
}

impl Elf {
    /// Reads the header.
    fn parse(head: &[u8]) -> Result<Elf, Broken> {
        let ident = head.get(..6).ok_or(Broken::Truncated)?;
        let (is_64, is_big_endian) = match ident {
            [.., class @ (1 | 2), data @ (1 | 2)] => (*class == 2, *data == 2),
            _ => return Err(Broken::Corrupt),
        };
        if head.len() < if is_64 { 64 } else { 52 } {
            return Err(Broken::Truncated);
        }
        let target = Target::of(0, is_64, is_big_endian);
        let (place, size, count, entry) = if is_64 { (32, 54, 56, 56) } else { (28, 42, 44, 32) };
        let number = |offset, length| target.number(head, offset, length).ok_or(Broken::Truncated);
        let table = number(place, if is_64 { 8 } else { 4 })?;
        let (size, count) = (number(size, 2)?, number(count, 2)?);
        let kind = number(16, 2)?;
        let is_program = matches!(kind, 2 | 3);
        // Whatever is linked has program headers, and the kernel knows one size of them alone.
        if is_program && (size != entry || count == 0) {
            return Err(Broken::Corrupt);
        }
        let target = Target { machine: number(18, 2)? as u16, ..target };
        Ok(Elf { target, is_program, table: (table, (size * count) as usize) })
    }

    /// Where the path of the loader is written, and how many bytes: PT_INTERP, from the program
    /// headers, of which the beginning is enough.
    pub fn loader(&self, table: &[u8]) -> Option<(u64, u64)> {
        const PT_INTERP: u64 = 3;
        let (entry, offset, size, length) = if self.target.is_64 { (56, 8, 32, 8) } else { (32, 4, 16, 4) };
        let header = table.chunks_exact(entry).find(|header| self.target.number(header, 0, 4) == Some(PT_INTERP))?;
        Some((self.target.number(header, offset, length)?, self.target.number(header, size, length)?))
    }
}

impl Target {
    /// The machine that this sexton is built for, and runs on.
    pub const OWN: Target = Target::of(own_machine(), cfg!(target_pointer_width = "64"), cfg!(target_endian = "big"));

    const fn of(machine: u16, is_64: bool, is_big_endian: bool) -> Target {
        Target { machine, is_64, is_big_endian }
    }

    /// An unsigned number of at most 8 bytes, in the file's order of bytes.
    fn number(self, bytes: &[u8], offset: usize, length: usize) -> Option<u64> {
        let bytes = bytes.get(offset..offset.checked_add(length)?)?;
        let append = |number: u64, byte: &u8| number << 8 | u64::from(*byte);
        Some(if self.is_big_endian { bytes.iter().fold(0, append) } else { bytes.iter().rev().fold(0, append) })
    }
}

/// What `uname -m` calls the machines that containers are made for, and those of old.
const MACHINES: [(Target, &str); 20] = [
    (Target::of(62, true, false), "x86_64"),
    (Target::of(62, false, false), "x32"),
    (Target::of(3, false, false), "i386 (32-bit)"),
    (Target::of(183, true, false), "aarch64"),
    (Target::of(40, false, false), "arm (32-bit)"),
    (Target::of(243, true, false), "riscv64"),
    (Target::of(243, false, false), "riscv32"),
    (Target::of(21, true, false), "ppc64le"),
    (Target::of(21, true, true), "ppc64 (big-endian)"),
    (Target::of(20, false, true), "ppc (32-bit)"),
    (Target::of(22, true, true), "s390x"),
    (Target::of(22, false, true), "s390 (32-bit)"),
    (Target::of(258, true, false), "loongarch64"),
    (Target::of(8, true, false), "mips64el"),
    (Target::of(8, true, true), "mips64 (big-endian)"),
    (Target::of(8, false, false), "mipsel (32-bit)"),
    (Target::of(8, false, true), "mips (32-bit, big-endian)"),
    (Target::of(43, true, true), "sparc64"),
    (Target::of(2, false, true), "sparc (32-bit)"),
    (Target::of(247, true, false), "bpf: for the kernel itself"),
];

const fn own_machine() -> u16 {
    if cfg!(target_arch = "x86_64") {
        62
    } else if cfg!(target_arch = "aarch64") {
        183
    } else if cfg!(target_arch = "riscv64") {
        243
    } else if cfg!(target_arch = "s390x") {
        22
    } else if cfg!(target_arch = "powerpc64") {
        21
    } else if cfg!(target_arch = "loongarch64") {
        258
    } else if cfg!(target_arch = "arm") {
        40
    } else if cfg!(target_arch = "x86") {
        3
    } else {
        0
    }
}

impl fmt::Display for Target {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some((_, name)) = MACHINES.iter().find(|(target, _)| target == self) {
            return f.write_str(name);
        }
        let bits = if self.is_64 { "64" } else { "32" };
        let order = if self.is_big_endian { "big" } else { "little" };
        write!(f, "ELF machine {} ({bits}-bit, {order}-endian)", self.machine)
    }
}

/// The C library that a loader belongs to, by its path.
pub fn libc_of(loader: &[u8]) -> Option<&'static str> {
    let name = loader.rsplit(|byte| *byte == b'/').next().unwrap_or_default();
    if name.starts_with(b"ld-musl") {
        Some("musl")
    } else if [&b"ld-linux"[..], b"ld64.so", b"ld.so"].iter().any(|start| name.starts_with(start)) {
        Some("glibc")
    } else if loader.starts_with(b"/system/bin/linker") {
        Some("Android")
    } else {
        None
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// A 64-bit little-endian header for this machine, without what follows.
    fn header(machine: u16) -> Vec<u8> {
        let mut head = vec![0; 64];
        head[..7].copy_from_slice(b"\x7fELF\x02\x01\x01");
        head[16] = 2;
        head[18..20].copy_from_slice(&machine.to_le_bytes());
        head[32] = 64;
        head[54] = 56;
        head[56] = 2;
        head
    }

    fn interpreter(line: &[u8]) -> FirstLine<'_> {
        match Kind::of(line) {
            Kind::Script(line) => line,
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn the_interpreter_is_what_the_kernel_takes_for_it() {
        use FirstLine::{Interpreter, Nothing, TooLong};
        for (line, expected) in [
            (&b"#!/bin/sh\n"[..], Interpreter(b"/bin/sh")),
            (b"#!/bin/sh", Interpreter(b"/bin/sh")),
            (b"#! \t/bin/sh -e\n", Interpreter(b"/bin/sh")),
            (b"#!/bin/sh\r\n", Interpreter(b"/bin/sh\r")),
            (b"#!/bin/sh\0\n", Interpreter(b"/bin/sh")),
            (b"#!", Nothing),
            (b"#!\n/bin/sh", Nothing),
            (b"#!  \n", Nothing),
            (b"#!  ", Nothing),
        ] {
            assert_eq!(interpreter(line), expected, "{}", line.escape_ascii());
        }
        let long = [b"#!/".as_slice(), &[b'x'; 300]].concat();
        assert_eq!(interpreter(&long), TooLong);
        assert_eq!(interpreter(&long[..HEAD - 1]), Interpreter(&long[2..HEAD - 1]));
    }

    #[test]
    fn only_a_text_is_a_text() {
        assert_eq!(Kind::of(b""), Kind::Empty);
        for text in [&b"echo hi\n"[..], b"x", b"\n", "\u{feff}écho\n".as_bytes(), b"MZ=1\n", b"x\n\0\0\0", b"\tif\r\n"]
        {
            assert_eq!(Kind::of(text), Kind::Text, "{}", text.escape_ascii());
        }
        for binary in [&b"\0"[..], b"a\0b\n", b"\x01\x02", b"MZ\x90\0\x03", b"\x1f\x8b\x08 ", b"\xff\xfe#\0!\0"] {
            assert!(matches!(Kind::of(binary), Kind::Binary(_)), "{}", binary.escape_ascii());
        }
        assert_eq!(Kind::of(b"MZ\x90\0\x03"), Kind::Binary(Some("a Windows program")));
    }

    #[test]
    fn an_elf_file_says_what_it_is_built_for() {
        let target = |head: &[u8]| match Kind::of(head) {
            Kind::Elf(Ok(elf)) => elf.target.to_string(),
            other => format!("{other:?}"),
        };
        assert_eq!(target(&header(62)), "x86_64");
        assert_eq!(target(&header(183)), "aarch64");
        assert_eq!(target(&header(9999)), "ELF machine 9999 (64-bit, little-endian)");
        assert_eq!(target(&header(243)), "riscv64");

        let mut small = header(0);
        small[4] = 1;
        small[18] = 3;
        small[42] = 32;
        small[44] = 1;
        assert_eq!(target(&small), "i386 (32-bit)");

        let mut big = header(0);
        big[5] = 2;
        big[16..20].copy_from_slice(&[0, 2, 0, 21]);
        big[54..58].copy_from_slice(&[0, 56, 0, 1]);
        assert_eq!(target(&big), "ppc64 (big-endian)");
        assert!(MACHINES.iter().any(|(target, _)| *target == Target::OWN));
    }

    #[test]
    fn a_broken_elf_file_is_told_from_a_whole_one() {
        let whole = header(62);
        for length in 4..64 {
            assert_eq!(Kind::of(&whole[..length]), Kind::Elf(Err(Broken::Truncated)), "{length}");
        }
        for (place, value) in [(4, 0), (4, 3), (5, 0), (5, 9), (54, 55), (56, 0)] {
            let mut head = whole.clone();
            head[place] = value;
            assert_eq!(Kind::of(&head), Kind::Elf(Err(Broken::Corrupt)), "byte {place} = {value}");
        }
        let mut object = whole;
        object[16] = 1;
        object[54..58].fill(0);
        assert!(matches!(Kind::of(&object), Kind::Elf(Ok(Elf { is_program: false, table: (64, 0), .. }))));
    }

    #[test]
    fn the_loader_is_found_among_the_program_headers() {
        let Kind::Elf(Ok(elf)) = Kind::of(&header(62)) else { panic!() };
        assert_eq!(elf.table, (64, 112));
        let mut table = vec![0; 112];
        table[0] = 1;
        assert_eq!(elf.loader(&table), None);
        table[56] = 3;
        table[56 + 8..56 + 10].copy_from_slice(&[0x34, 0x12]);
        table[56 + 32] = 28;
        assert_eq!(elf.loader(&table), Some((0x1234, 28)));
        assert_eq!(elf.loader(&table[..111]), None);
    }

    #[test]
    fn a_loader_belongs_to_a_c_library() {
        assert_eq!(libc_of(b"/lib64/ld-linux-x86-64.so.2"), Some("glibc"));
        assert_eq!(libc_of(b"/lib64/ld64.so.2"), Some("glibc"));
        assert_eq!(libc_of(b"/lib/ld-musl-x86_64.so.1"), Some("musl"));
        assert_eq!(libc_of(b"/system/bin/linker64"), Some("Android"));
        assert_eq!(libc_of(b"/ld-linux/x"), None);
        assert_eq!(libc_of(b""), None);
    }

    /// Bytes that get past the magic more often than by chance.
    fn hostile() -> impl Strategy<Value = Vec<u8>> {
        let magic = prop_oneof![
            Just(b"\x7fELF".to_vec()),
            Just(b"\x7fELF\x01\x01".to_vec()),
            Just(b"\x7fELF\x02\x02".to_vec()),
            Just(header(62)),
            Just(b"#!".to_vec()),
            Just(b"#! /".to_vec()),
            Just(Vec::new()),
        ];
        (magic, prop::collection::vec(any::<u8>(), 0..600)).prop_map(|(magic, rest)| [magic, rest].concat())
    }

    proptest! {
        #[test]
        fn no_bytes_make_it_panic(head in hostile(), table in prop::collection::vec(any::<u8>(), 0..5000)) {
            let kind = Kind::of(&head);
            let _ = format!("{kind:?}");
            if let Kind::Elf(Ok(elf)) = kind {
                let _ = (elf.target.to_string(), elf.loader(&table), elf.loader(&head));
            }
            let _ = libc_of(&head);
        }

        #[test]
        fn neither_an_elf_file_nor_what_holds_a_nul_in_its_first_line_is_a_text(rest in prop::collection::vec(any::<u8>(), 0..300), at in 0..HEAD) {
            prop_assert!(Kind::of(&[b"\x7fELF", rest.as_slice()].concat()) != Kind::Text);
            let mut head: Vec<u8> = rest.into_iter().map(|byte| if byte == b'\n' { b' ' } else { byte }).collect();
            if at < head.len() {
                head[at] = 0;
                prop_assert!(Kind::of(&head) != Kind::Text);
            }
        }

        #[test]
        fn an_interpreter_is_one_word_of_the_first_line(rest in prop::collection::vec(any::<u8>(), 0..300)) {
            let head = [b"#!", rest.as_slice()].concat();
            if let FirstLine::Interpreter(name) = interpreter(&head) {
                prop_assert!(!name.is_empty() && !name.iter().any(|byte| b" \t\n\0".contains(byte)));
                prop_assert!(head.windows(name.len()).any(|window| window == name));
            }
        }
    }
}
