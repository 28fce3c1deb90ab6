//! Open files on their way from one process to another, one at a time, over a Unix stream (`SCM_RIGHTS`).

use std::{
    io::{self, IoSlice, IoSliceMut},
    mem::MaybeUninit,
    os::fd::{AsFd, BorrowedFd, OwnedFd},
};

use rustix::{
    cmsg_space,
    net::{
        RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, SendAncillaryBuffer, SendAncillaryMessage,
        SendFlags, recvmsg, sendmsg,
    },
};
use tokio::{io::Interest, net::UnixStream};

/// A descriptor travels with this byte: without any, there is no message.
const BYTE: u8 = b'f';

/// Sends a duplicate; ours stays open.
pub async fn send(stream: &UnixStream, descriptor: BorrowedFd<'_>) -> io::Result<()> {
    let message = || {
        let mut space = [MaybeUninit::uninit(); cmsg_space!(ScmRights(1))];
        let mut control = SendAncillaryBuffer::new(&mut space);
        let one = [descriptor];
        control.push(SendAncillaryMessage::ScmRights(&one));
        let sent = sendmsg(stream.as_fd(), &[IoSlice::new(&[BYTE])], &mut control, SendFlags::NOSIGNAL)?;
        if sent == 0 { Err(io::ErrorKind::WriteZero.into()) } else { Ok(()) }
    };
    stream.async_io(Interest::WRITABLE, message).await
}

/// Receives one that was sent; it is not passed on to programs that we start.
pub async fn receive(stream: &UnixStream) -> io::Result<OwnedFd> {
    let message = || {
        let mut space = [MaybeUninit::uninit(); cmsg_space!(ScmRights(1))];
        let mut control = RecvAncillaryBuffer::new(&mut space);
        let mut byte = [0];
        let mut buffers = [IoSliceMut::new(&mut byte)];
        let got = recvmsg(stream.as_fd(), &mut buffers, &mut control, RecvFlags::CMSG_CLOEXEC)?;
        if got.bytes == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        let mut all = control.drain().filter_map(|message| {
            // The others are not asked for.
            if let RecvAncillaryMessage::ScmRights(descriptors) = message { Some(descriptors) } else { None }
        });
        let first = all.next().and_then(|mut descriptors| descriptors.next());
        first.ok_or_else(|| io::Error::new(io::ErrorKind::InvalidData, "no open file came with the message"))
    };
    stream.async_io(Interest::READABLE, message).await
}

#[cfg(test)]
mod tests {
    use std::net::TcpListener;

    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

    use super::*;

    #[tokio::test]
    async fn what_arrives_is_the_same_socket_and_words_before_and_after_are_left_alone() {
        let (mut ours, mut theirs) = UnixStream::pair().unwrap();
        let sockets = [TcpListener::bind("127.0.0.1:0").unwrap(), TcpListener::bind("127.0.0.1:0").unwrap()];
        ours.write_all(b"before").await.unwrap();
        for socket in &sockets {
            send(&ours, socket.as_fd()).await.unwrap();
        }
        ours.write_all(b"after").await.unwrap();
        let mut words = [0; 6];
        theirs.read_exact(&mut words).await.unwrap();
        assert_eq!(&words, b"before");
        for socket in &sockets {
            let received = TcpListener::from(receive(&theirs).await.unwrap());
            assert_eq!(received.local_addr().unwrap(), socket.local_addr().unwrap());
        }
        theirs.read_exact(&mut words[..5]).await.unwrap();
        assert_eq!(&words[..5], b"after");
        drop(ours);
        assert_eq!(receive(&theirs).await.unwrap_err().kind(), io::ErrorKind::UnexpectedEof);
    }

    #[tokio::test]
    async fn a_byte_without_a_file_is_a_mistake() {
        let (mut ours, theirs) = UnixStream::pair().unwrap();
        ours.write_all(b"f").await.unwrap();
        assert_eq!(receive(&theirs).await.unwrap_err().kind(), io::ErrorKind::InvalidData);
    }
}
