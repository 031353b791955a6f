//! The agent's binary interface against Rockchip's headers and library, where the environment names them:
//!
//! - `P2PCAM_MPP_HEADERS`: the folder `inc` of github.com/rockchip-linux/mpp. A C program prints each constant, size
//!   and offset, and the compiler compares the prototypes with those of the stand-in that the other tests call.
//! - `P2PCAM_MPP_LIBRARY`: `librockchip_mpp.so.1` for this machine. It builds for any, and opens without a chip.
//! - `P2PCAM_MPP_LIBRARY_ARM64`: the same as boards have it, for an arm64 program under QEMU. `scripts/test` fetches
//!   it: nyanmisaka/mpp a9380ef of 2025-12-26, from PyPI's pyav-rkmpp.
//!
//! No package registry has the headers, so the first two are given by hand. They agreed with 1.0.4 (commit
//! ee946af015c3, 2024-03-13, rockchip-linux/mpp) and 1.0.8 (commit 70b572a2c090, 2025-01-09, nyanmisaka/mpp), headers
//! and library each. How to get them: `docs/encoders-mpp.md`.
#![allow(clippy::unwrap_used)]

use std::{
    fmt::Write,
    fs,
    mem::offset_of,
    path::{Path, PathBuf},
    process::Command,
    sync::Arc,
};

use super::{
    abi::{CONSTANTS, MppApi, MppBufferInfo},
    error::{MppError, Wanted},
    ffi::{Buffer, Config, Context, Group, is_built_in},
    layout::{Layout, Samples},
    library::{Functions, Library},
    settings,
    stand_in::{compiler, run, source},
    *,
};

const HEADERS: [&str; 6] =
    ["rk_mpi.h", "rk_venc_cfg.h", "rk_venc_cmd.h", "rk_venc_rc.h", "mpp_buffer.h", "mpp_frame.h"];

fn named(variable: &str) -> Option<PathBuf> {
    let path = std::env::var_os(variable).map(PathBuf::from);
    if path.is_none() {
        println!("not run: {variable} names nothing (docs/encoders-mpp.md)");
    }
    path
}

/// What C calls a figure, and the agent's figure.
fn layouts() -> Vec<(&'static str, usize)> {
    vec![
        ("offsetof(MppApi, size)", offset_of!(MppApi, size)),
        ("offsetof(MppApi, version)", offset_of!(MppApi, version)),
        ("offsetof(MppApi, decode)", offset_of!(MppApi, decode)),
        ("offsetof(MppApi, encode)", offset_of!(MppApi, encode)),
        ("offsetof(MppApi, encode_put_frame)", offset_of!(MppApi, encode_put_frame)),
        ("offsetof(MppApi, encode_get_packet)", offset_of!(MppApi, encode_get_packet)),
        ("offsetof(MppApi, isp)", offset_of!(MppApi, isp)),
        ("offsetof(MppApi, poll)", offset_of!(MppApi, poll)),
        ("offsetof(MppApi, reset)", offset_of!(MppApi, reset)),
        ("offsetof(MppApi, control)", offset_of!(MppApi, control)),
        ("sizeof(MppBufferInfo)", size_of::<MppBufferInfo>()),
        ("offsetof(MppBufferInfo, type)", offset_of!(MppBufferInfo, kind)),
        ("offsetof(MppBufferInfo, size)", offset_of!(MppBufferInfo, size)),
        ("offsetof(MppBufferInfo, ptr)", offset_of!(MppBufferInfo, pointer)),
        ("offsetof(MppBufferInfo, hnd)", offset_of!(MppBufferInfo, handle)),
        ("offsetof(MppBufferInfo, fd)", offset_of!(MppBufferInfo, fd)),
        ("offsetof(MppBufferInfo, index)", offset_of!(MppBufferInfo, index)),
        // What C passes for the enumerations of the calls.
        ("sizeof(MPP_RET)", 4),
        ("sizeof(MppCtxType)", 4),
        ("sizeof(MppCodingType)", 4),
        ("sizeof(MpiCmd)", 4),
        ("sizeof(MppFrameFormat)", 4),
        ("sizeof(MppBufferType)", 4),
        ("sizeof(MppBufferMode)", 4),
        ("sizeof(MppPollType)", 4),
        ("sizeof(MppEncHeaderMode)", 4),
        ("sizeof(MppEncSeiMode)", 4),
    ]
}

#[test]
fn constants_and_layouts_are_those_of_rockchips_headers() {
    let Some(headers) = named("P2PCAM_MPP_HEADERS") else { return };
    let mut program = String::from("#include <stddef.h>\n#include <stdio.h>\n");
    let mut expected = String::new();
    HEADERS.iter().for_each(|header| writeln!(program, "#include \"{header}\"").unwrap());
    program.push_str("int main(void) {\n");
    let constants = CONSTANTS.iter().map(|(name, value)| (*name, i64::from(*value)));
    let layouts = layouts().into_iter().map(|(name, value)| (name, value as i64));
    let figures: Vec<_> = constants.chain(layouts).collect();
    for (name, value) in &figures {
        writeln!(program, "    printf(\"%s %lld\\n\", \"{name}\", (long long)({name}));").unwrap();
        writeln!(expected, "{name} {value}").unwrap();
    }
    program.push_str("}\n");
    let folder = tempfile::tempdir().unwrap();
    let (text, binary) = (folder.path().join("figures.c"), folder.path().join("figures"));
    fs::write(&text, program).unwrap();
    run(compiler().arg("-I").arg(&headers).arg(&text).arg("-o").arg(&binary));
    assert_eq!(run(&mut Command::new(&binary)), expected);
    println!("{} figures agree with {}", figures.len(), headers.display());
}

#[test]
fn the_stand_in_has_the_prototypes_of_rockchips_headers() {
    let Some(headers) = named("P2PCAM_MPP_HEADERS") else { return };
    let source = source();
    let text = fs::read_to_string(&source).unwrap();
    for name in Functions::NAMES {
        let declared = HEADERS.iter().chain(&["mpp_packet.h"]).any(|header| {
            let text = fs::read_to_string(headers.join(header)).unwrap();
            text.contains(&format!("{name}("))
        });
        assert!(declared && text.contains(&format!("{name}(")), "{name} is not in both");
    }
    let folder = tempfile::tempdir().unwrap();
    let flags = ["-DWITH_ROCKCHIP_HEADERS", "-fsyntax-only", "-Wall", "-Wextra", "-Werror", "-I"];
    run(compiler().current_dir(folder.path()).args(flags).arg(&headers).arg(source));
}

#[test]
fn rockchips_library_has_the_functions_and_takes_the_settings() {
    let Some(path) = named("P2PCAM_MPP_LIBRARY") else { return };
    let library = Library::open(path.as_os_str()).unwrap_or_else(|error| panic!("{error:?}"));
    assert!(MppCodec::ALL.into_iter().all(|codec| is_built_in(&library, codec.coding())));
    assert!(!is_built_in(&library, 0x7000_0000), "it tells codecs apart");

    let layout = Layout::own(Samples::Nv12, (1280, 720));
    let wanted = EncoderSettings {
        width: 1280,
        height: 720,
        fps: 30,
        bitrate: Bitrate(2_000_000),
        keyframe_interval: 300,
    };
    for codec in MppCodec::ALL {
        let mut config = Config::new(&library).unwrap();
        for (key, value) in settings::all(codec, &wanted, wanted.bitrate, &layout) {
            assert_eq!(config.set(key, value), Ok(()), "{key:?}");
        }
        assert!(config.set(c"h264:p2pcam", 1).is_err(), "it refuses what it does not know");
    }

    let group = Arc::new(Group::new(&library).unwrap());
    let memory = Buffer::allocate(&group, layout.length()).err();
    println!("a buffer: {memory:?}");
    let sources = ["/dev/dma_heap", "/dev/dri/card0", "/dev/ion"];
    if !sources.iter().any(|path| Path::new(path).exists()) {
        assert_eq!(memory, Some(MppError::Refused(Wanted::Memory, abi::MPP_NOK)));
    }
    for codec in MppCodec::ALL {
        let error = Context::new(&library, codec.coding()).err();
        println!("an encoder for {codec:?}: {error:?}");
        if !Path::new("/dev/mpp_service").exists() {
            assert_eq!(error, Some(MppError::Refused(Wanted::Encoder, abi::MPP_NOK)));
        }
    }
}

/// A program that asks a library, which it is given the path of, for all functions, and for an encoder of each codec
/// with all settings; and what it is to say.
fn questions(wanted: &EncoderSettings) -> (String, String) {
    let mut program = String::from(
        "#include <dlfcn.h>\n#include <stdio.h>\nint main(int count, char **names) {\n\
         void *library = dlopen(names[count - 1], RTLD_NOW), *config, *context, *table;\n\
         if (!library) return puts(dlerror()), 1;\n\
         int (*check)(int, int) = dlsym(library, \"mpp_check_support_format\");\n\
         int (*create)(void **, void **) = dlsym(library, \"mpp_create\");\n\
         int (*open)(void *, int, int) = dlsym(library, \"mpp_init\");\n\
         int (*destroy)(void *) = dlsym(library, \"mpp_destroy\");\n\
         int (*init)(void **) = dlsym(library, \"mpp_enc_cfg_init\");\n\
         int (*set)(void *, const char *, int) = dlsym(library, \"mpp_enc_cfg_set_s32\");\n",
    );
    let mut answers = String::new();
    for name in Functions::NAMES {
        writeln!(program, "printf(\"%d {name}\\n\", !!dlsym(library, \"{name}\"));").unwrap();
        writeln!(answers, "1 {name}").unwrap();
    }
    let layout = Layout::own(Samples::Nv12, (wanted.width, wanted.height));
    for codec in MppCodec::ALL {
        let coding = codec.coding();
        let encoder = abi::MPP_CTX_ENC;
        writeln!(program, "printf(\"%d is built in\\n\", check({encoder}, {coding}));\ninit(&config);")
            .unwrap();
        writeln!(answers, "0 is built in").unwrap();
        let settings = settings::all(codec, wanted, wanted.bitrate, &layout);
        for (key, value) in settings.into_iter().chain([(c"h264:p2pcam", 1)]) {
            let key = key.to_str().unwrap();
            writeln!(program, "printf(\"%d {key}\\n\", set(config, \"{key}\", {value}));").unwrap();
            writeln!(answers, "{} {key}", if key == "h264:p2pcam" { -1 } else { 0 }).unwrap();
        }
        // Without a device, an encoder cannot be opened.
        writeln!(program, "create(&context, &table);").unwrap();
        writeln!(program, "printf(\"%u size\\n\", *(unsigned *)table);").unwrap();
        writeln!(program, "printf(\"%d init\\n\", open(context, {encoder}, {coding}));\ndestroy(context);")
            .unwrap();
        writeln!(answers, "184 size\n-1 init").unwrap();
    }
    program.push_str("}\n");
    (program, answers)
}

#[test]
fn the_library_of_boards_has_the_functions_and_takes_the_settings() {
    let Some(library) = named("P2PCAM_MPP_LIBRARY_ARM64") else { return };
    let wanted = EncoderSettings {
        width: 1280,
        height: 720,
        fps: 30,
        bitrate: Bitrate(2_000_000),
        keyframe_interval: 300,
    };
    let (program, answers) = questions(&wanted);
    let folder = tempfile::tempdir().unwrap();
    let (text, binary) = (folder.path().join("questions.c"), folder.path().join("questions"));
    fs::write(&text, program).unwrap();
    let (mut compiler, mut start) = if cfg!(target_arch = "aarch64") {
        (compiler(), Command::new(&binary))
    } else {
        let mut emulator = Command::new("qemu-aarch64");
        emulator.args(["-L", "/usr/aarch64-linux-gnu"]).arg(&binary);
        (Command::new("aarch64-linux-gnu-gcc"), emulator)
    };
    run(compiler.arg(&text).arg("-o").arg(&binary).arg("-ldl"));
    assert_eq!(run(start.arg(&library)), answers);
    println!("{} answers of {} are right", answers.lines().count(), library.display());
}
