//! As much of an ELF file as tells what it needs of its host. Source: elf(5).

pub struct Elf {
    pub is_position_independent: bool,
    /// The dynamic linker that it asks for.
    pub interpreter: Option<String>,
    /// How many shared libraries it asks for.
    pub libraries: usize,
}

const ET_DYN: u64 = 3;
const PT_DYNAMIC: u64 = 2;
const PT_INTERP: u64 = 3;
const DT_NEEDED: u64 = 1;

impl Elf {
    /// For 64 bits, little endian.
    pub fn parse(file: &[u8]) -> Elf {
        assert_eq!(file[..6], *b"\x7fELF\x02\x01");
        let mut elf = Elf { is_position_independent: number(file, 16, 2) == ET_DYN, interpreter: None, libraries: 0 };
        let (table, size, count) = (number(file, 32, 8), number(file, 54, 2), number(file, 56, 2));
        for header in (0..count).map(|index| (table + index * size) as usize) {
            let start = number(file, header + 8, 8) as usize;
            let content = &file[start..start + number(file, header + 32, 8) as usize];
            match number(file, header, 4) {
                PT_INTERP => elf.interpreter = Some(String::from_utf8_lossy(content).into_owned()),
                PT_DYNAMIC => {
                    elf.libraries = content.chunks(16).filter(|entry| number(entry, 0, 8) == DT_NEEDED).count()
                }
                _ => {}
            }
        }
        elf
    }
}

fn number(bytes: &[u8], at: usize, length: usize) -> u64 {
    bytes[at..at + length].iter().rev().fold(0, |number, byte| number << 8 | u64::from(*byte))
}

#[test]
fn an_ordinary_program_needs_its_host() {
    let elf = Elf::parse(&std::fs::read(std::env::current_exe().unwrap()).unwrap());
    assert!(elf.is_position_independent);
    assert!(elf.interpreter.is_some());
    assert!(elf.libraries > 0);
}
