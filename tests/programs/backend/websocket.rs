//! A WebSocket (RFC 6455) that echoes text and binary messages, answers pings and closes politely.

use std::io::{self, Read};

use crate::{
    answers::{plain, write_all},
    connection::{Input, Next, Request, wait},
};

const MAX_FRAME: u64 = 16 * 1024 * 1024;

pub fn serve(request: &Request, input: &mut Input<'_>) -> io::Result<Next> {
    let Some(key) = request.header("sec-websocket-key") else {
        plain(input.get_ref(), "426 Upgrade Required", "this is a WebSocket\n", &Next::Close)?;
        return Ok(Next::Close);
    };
    let accept = base64(&sha1(format!("{key}258EAFA5-E914-47DA-95CA-C5AB0DC85B11").as_bytes()));
    let protocol = request.header("sec-websocket-protocol").and_then(|list| list.split(',').next());
    let protocol =
        protocol.map_or_else(String::new, |name| format!("Sec-WebSocket-Protocol: {}\r\n", name.trim()));
    let head = format!(
        "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
         Sec-WebSocket-Accept: {accept}\r\n{protocol}\r\n"
    );
    write_all(input.get_ref(), head.as_bytes())?;
    loop {
        if !wait(input)? {
            let _ = frame(input, 0x88, &1001_u16.to_be_bytes());
            return Ok(Next::Close);
        }
        let mut start = [0; 2];
        input.read_exact(&mut start)?;
        let (first, masked) = (start[0], start[1] & 0x80 != 0);
        let length = match start[1] & 0x7f {
            126 => u64::from(u16::from_be_bytes(take(input)?)),
            127 => u64::from_be_bytes(take(input)?),
            short => u64::from(short),
        };
        if !masked || length > MAX_FRAME {
            frame(input, 0x88, &1002_u16.to_be_bytes())?;
            return Ok(Next::Close);
        }
        let mask: [u8; 4] = take(input)?;
        let mut payload = vec![0; usize::try_from(length).unwrap_or(0)];
        input.read_exact(&mut payload)?;
        for (byte, key) in payload.iter_mut().zip(mask.iter().cycle()) {
            *byte ^= key;
        }
        match first & 0x0f {
            0x8 => {
                frame(input, 0x88, &payload)?;
                return Ok(Next::Close);
            }
            0x9 => frame(input, 0x8a, &payload)?,
            0xa => {}
            _ => frame(input, first, &payload)?,
        }
    }
}

fn take<const N: usize>(input: &mut Input<'_>) -> io::Result<[u8; N]> {
    let mut bytes = [0; N];
    input.read_exact(&mut bytes)?;
    Ok(bytes)
}

fn frame(input: &Input<'_>, first: u8, payload: &[u8]) -> io::Result<()> {
    let mut bytes = vec![first];
    match payload.len() {
        length @ 0..126 => bytes.push(u8::try_from(length).unwrap_or(0)),
        length @ 126..65536 => {
            bytes.push(126);
            bytes.extend_from_slice(&u16::try_from(length).unwrap_or(0).to_be_bytes());
        }
        length => {
            bytes.push(127);
            bytes.extend_from_slice(&(length as u64).to_be_bytes());
        }
    }
    bytes.extend_from_slice(payload);
    write_all(input.get_ref(), &bytes)
}

fn sha1(message: &[u8]) -> [u8; 20] {
    let mut state: [u32; 5] = [0x6745_2301, 0xefcd_ab89, 0x98ba_dcfe, 0x1032_5476, 0xc3d2_e1f0];
    let mut padded = message.to_vec();
    padded.push(0x80);
    padded.resize((padded.len() + 8).next_multiple_of(64) - 8, 0);
    padded.extend_from_slice(&(message.len() as u64 * 8).to_be_bytes());
    for block in padded.chunks_exact(64) {
        let mut words = [0_u32; 80];
        for (word, bytes) in words.iter_mut().zip(block.chunks_exact(4)) {
            *word = u32::from_be_bytes([bytes[0], bytes[1], bytes[2], bytes[3]]);
        }
        for at in 16..80 {
            words[at] = (words[at - 3] ^ words[at - 8] ^ words[at - 14] ^ words[at - 16]).rotate_left(1);
        }
        let [mut a, mut b, mut c, mut d, mut e] = state;
        for (at, word) in words.iter().enumerate() {
            let (mix, constant) = match at {
                0..20 => ((b & c) | (!b & d), 0x5a82_7999),
                20..40 => (b ^ c ^ d, 0x6ed9_eba1),
                40..60 => ((b & c) | (b & d) | (c & d), 0x8f1b_bcdc),
                _ => (b ^ c ^ d, 0xca62_c1d6_u32),
            };
            let next =
                a.rotate_left(5).wrapping_add(mix).wrapping_add(e).wrapping_add(constant).wrapping_add(*word);
            (e, d, c, b, a) = (d, c, b.rotate_left(30), a, next);
        }
        for (sum, part) in state.iter_mut().zip([a, b, c, d, e]) {
            *sum = sum.wrapping_add(part);
        }
    }
    let mut digest = [0; 20];
    for (bytes, word) in digest.chunks_exact_mut(4).zip(state) {
        bytes.copy_from_slice(&word.to_be_bytes());
    }
    digest
}

fn base64(bytes: &[u8]) -> String {
    const LETTERS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let mut text = String::new();
    for three in bytes.chunks(3) {
        let group =
            three.iter().fold(0_u32, |sum, byte| sum << 8 | u32::from(*byte)) << (8 * (3 - three.len()));
        for at in 0..4 {
            let index = usize::try_from(group >> (18 - 6 * at) & 63).unwrap_or(0);
            text.push(if at <= three.len() { char::from(LETTERS[index]) } else { '=' });
        }
    }
    text
}
