//! `-ctlsock`: requests and replies, byte for byte, and the life of the socket.

use crate::same;

/// Mounts a volume with a few files and asks on its socket, a request a line. `\xNN` stands for a byte, `@9x` for `xxxxxxxxx`.
fn asked(init: &str, requests: &str) -> String {
    format!("{}\npython3 ask.py\n{}", served(init, requests), "end; await '! [ -e sock ]' && echo removed")
}

fn served(init: &str, requests: &str) -> String {
    format!(
        r#"volume {init}; t gocryptfs -q -passfile pw -ctlsock sock c m; stat -c '%F %a' sock
mkdir m/d; touch m/d/f m/$(printf 'l%.0s' $(seq 200)); ln -s d m/l; mkdir m/$(printf 'd%.0s' $(seq 200))
cat >requests <<'END'
{requests}
END
cat >ask.py <<'END'
import re, socket
def connected():
    s = socket.socket(socket.AF_UNIX)
    s.connect("sock")
    s.settimeout(30)
    return s
s = connected()
for line in open("requests", "rb").read().splitlines():
    line = re.sub(rb"\\x(..)", lambda m: bytes([int(m[1], 16)]), line)
    line = re.sub(rb"@(\d+)(.)", lambda m: m[2] * int(m[1]), line)
    s.sendall(line)
    reply = s.recv(65536)
    print(line[:100], reply)
    if not reply:
        s = connected()
END"#
    )
}

const PATHS: &str = r#"{"EncryptPath":"d"}
{"EncryptPath":"d/f"}
{"encryptpath":"d/none"}
{"EncryptPath":"none/x"}
{"EncryptPath":"d/f/x"}
{"EncryptPath":"l/f"}
{"EncryptPath":"@200l"}
{"EncryptPath":"@200d/x"}
{"EncryptPath":"@255x"}
{"EncryptPath":"@256x"}
{"EncryptPath":"a\u0000b"}
{"EncryptPath":"a<b>&"}
{"EncryptPath":"gocryptfs.conf"}
{"DecryptPath":"abc"}
{"DecryptPath":"gocryptfs.longname.x"}
{"DecryptPath":"VnvoeSetPaOFjZDaZAh0lA"}
{"DecryptPath":"VnvoeSetPaOFjZDaZAh0lA/x"}"#;

same! {
    paths_are_translated: asked("", PATHS),
    paths_with_deterministic_names: asked("-deterministic-names", PATHS),
    paths_with_plaintext_names: asked("-plaintextnames", PATHS),
    paths_in_a_reverse_view: "
        mkdir -p c/d m; touch c/d/f; t gocryptfs -q -init -reverse -scryptn 10 -passfile pw c
        t gocryptfs -q -reverse -passfile pw -ctlsock sock c m
        printf 'd\nd/f\nnone\nnone/x\n' | t gocryptfs-xray -encrypt-paths sock
        ls m/$(echo d | gocryptfs-xray -encrypt-paths sock) | grep -c gocryptfs.diriv
        echo d/f | gocryptfs-xray -encrypt-paths sock | t gocryptfs-xray -decrypt-paths sock
        end",
    paths_in_other_forms: asked("", r#"{"EncryptPath":"/d//f/"}
{"EncryptPath":"."}
{"EncryptPath":".."}
{"EncryptPath":"../x"}
{"EncryptPath":"/../x"}
{"EncryptPath":"d/../../x"}
{"EncryptPath":"/"}
{"EncryptPath":"//"}
{"EncryptPath":"//d"}
{"EncryptPath":"./d/./f"}
{"EncryptPath":"d/../d"}
{"DecryptPath":"/VnvoeSetPaOFjZDaZAh0lA/"}"#),
    odd_requests: asked("", r#"{"EncryptPath":"d","DecryptPath":"x"}
{}
null
{"EncryptPath":null}
{"EncryptPath":"d","foo":[1,{"a":2}]}
{"EncryptPath":"d","EncryptPath":"d/f"}
{"EncryptPath":"\u0064"}
{"EncryptPath":"a\xffb"}
 {"EncryptPath" : "d"}
{"EncryptPath":"d/"}"#),
    requests_that_are_none: asked("", r#"[]
"x"
3
{"EncryptPath":3}
{"EncryptPath":"d"} x
{"EncryptPath":"d"}{"EncryptPath":"d"}
{"EncryptPath":"d"
garbage
{"EncryptPath":"d"}"#),
    requests_that_are_too_long: asked("", r#"{"EncryptPath":"d"@4980 }
{"EncryptPath":"d"@4981 }
{"EncryptPath":"d"}"#),
    what_was_encrypted_is_there_and_is_decrypted: format!("{}{}", served("", "{}"), r#"
        printf 'd\nd/f\nl\n%s\n' "$(ls m | grep dddd)" >names
        gocryptfs-xray -encrypt-paths sock <names >encrypted; (cd c; xargs -d '\n' -n1 stat -c %F <../encrypted)
        t gocryptfs-xray -decrypt-paths sock <encrypted; end"#),
    a_socket_that_cannot_be: "
        volume; touch file; t gocryptfs -q -extpass 'touch asked' -ctlsock nowhere/sock c m; t gocryptfs -q -extpass 'touch asked' -ctlsock c c m
        code gocryptfs -q -extpass 'touch asked' -ctlsock file c m; ls; code gocryptfs -q -passfile pw -ctlsock \"$(printf 's%.0s' $(seq 120))\" c m",
    a_socket_that_is_in_use: "
        volume; mkdir m2; t gocryptfs -q -passfile pw -ctlsock sock c m; code gocryptfs -q -passfile pw -sharedstorage -ctlsock sock c m2
        echo x | t gocryptfs-xray -encrypt-paths sock; end; await '! [ -e sock ]'; ls",
    a_socket_of_a_mount_that_failed: "volume; echo wrong >pw; code gocryptfs -q -passfile pw -ctlsock sock c m; ls",
    a_socket_goes_with_its_mount: "volume; gocryptfs -q -fg -passfile pw -ctlsock sock c m & pid=$!; await mounted; await 'obeys $pid'; kill -TERM $pid; wait $pid; case $? in 0|15) ls ;; esac",
    a_socket_by_a_relative_path: "volume; mkdir s; cd s; t gocryptfs -q -passfile ../pw -ctlsock sock ../c ../m; ls; cd ..; end; await '! [ -e s/sock ]' && echo removed",
    an_umask: "volume; umask 077; t gocryptfs -q -passfile pw -ctlsock sock c m; stat -c %a sock; end",
}

#[test]
fn a_mount_of_our_own_has_such_a_socket_too_for_its_owner_alone() {
    let script = "
        volume; t \"$OURS\" mount --control-socket sock --passphrase-file pw c m; stat -c '%F %a' sock; mkdir m/d
        [ $(echo d | \"$REAL_XRAY\" -encrypt-paths sock) = $(ls c | grep -v gocryptfs) ] && echo the same
        end; await '! [ -e sock ]' && echo removed";
    let Some(transcript) = crate::stage::ours(script) else { return };
    for line in ["socket 600", "the same", "removed"] {
        assert!(transcript.lines().any(|said| said == line), "{transcript}");
    }
}
