//! How the command line is read, and in which order it is found wanting.

use crate::same;

same! {
    no_arguments_at_all: "t gocryptfs",
    the_short_help: "t gocryptfs -h; t gocryptfs -help; t gocryptfs --help; t gocryptfs -q -h",
    the_long_help_is_there: "code gocryptfs -hh; code gocryptfs -hh /nowhere",
    the_version: "t gocryptfs -version; t gocryptfs --version; code gocryptfs -v; code gocryptfs -V",
    the_version_goes_before_everything_but_parse_errors: "
        t gocryptfs -version /nowhere; t gocryptfs -version -init -info; code gocryptfs -version -hh
        t gocryptfs -version -nosuchflag; t gocryptfs -nosuchflag -version
        t gocryptfs -version a b c",
    an_unknown_flag: "mkdir c m; t gocryptfs -nosuchflag c m; t gocryptfs c m --nosuchflag=1; t gocryptfs -x c m",
    a_flag_without_its_value: "mkdir c m; t gocryptfs c m -passfile; t gocryptfs c m -scryptn; t gocryptfs c m -fsname",
    truth_has_many_names: "
        volume
        for yes in 1 t T TRUE true True; do t gocryptfs -info -q=$yes c; done
        for no in 0 f F FALSE false False; do t gocryptfs -version=$no -info c; done
        for wrong in yes no 2 TrUe '' on; do t gocryptfs -info -q=$wrong c; done",
    a_boolean_takes_no_separate_word: "volume; t gocryptfs -info -q true c; t gocryptfs -info -q c",
    numbers: "
        mkdir c
        for n in 0x0a 0b1010 0o12 012 1_0 abc '' 1.5 99999999999999999999 -1; do
            rm -rf c; mkdir c
            t gocryptfs -q -init -passfile pw -scryptn=$n c
            grep '\"N\"' c/gocryptfs.conf
        done",
    the_longest_name: "
        for n in 0 1 61 62 255 256 -1 x; do
            rm -rf c; mkdir c
            t gocryptfs -q -init -scryptn 10 -passfile pw -longnamemax=$n c
            grep LongNameMax c/gocryptfs.conf
        done",
    durations: "
        volume
        for d in 5 5x -1s 1.5.5s '' s; do t gocryptfs -q -idle=$d -passfile pw c m; done
        for d in 0 1h45m3.5s 500000000us 1000000000000ns 24h +1h .5h 1.h; do
            t gocryptfs -q -idle=$d -passfile pw c m
            end
        done",
    process_ids: "volume; for n in x 1.5 ''; do t gocryptfs -q -notifypid=$n -passfile pw c m; done",
    flags_and_words_mix: "volume; t gocryptfs c -q m -passfile pw; end; t gocryptfs -passfile=pw c -q -- m; end",
    two_dashes_are_as_good_as_one: "volume; t gocryptfs --q --passfile pw c m; end; t gocryptfs ---q c m",
    after_two_dashes_all_is_a_word: "
        volume; cp -r c ./-info; mkdir ./-m
        t gocryptfs -info -- -info
        t gocryptfs -q -passfile pw -- -info -m
        fusermount3 -u ./-m",
    a_value_that_looks_like_a_flag_gets_a_dash: "
        volume; cp pw ./-pw; cp pw ./--pw
        t gocryptfs -passfile -pw c m; end
        t gocryptfs -passfile=-pw c m; end
        t gocryptfs -fsname -x -q -passfile pw c m; shown; end",
    a_lone_dash_is_a_word: "t gocryptfs -; t gocryptfs -info -; mkdir c; t gocryptfs - c",
    an_empty_word: "mkdir c; t gocryptfs ''; t gocryptfs c ''; t gocryptfs '' c; t gocryptfs -info ''",
    no_abbreviations_and_no_bundles: "volume; t gocryptfs -inf c; t gocryptfs -qf c m; t gocryptfs -i c; t gocryptfs -qinfo c",
    the_last_of_several_counts: "
        volume; printf wrong >other
        t gocryptfs -q -config /nowhere -config c/gocryptfs.conf -passfile pw c m; end
        t gocryptfs -q -fsname a -fsname b -passfile pw c m; shown; end",
    short_names: "volume; t gocryptfs -f -i=100ms -q -passfile pw c m; t gocryptfs -quiet -info c; code gocryptfs -d -info c",
    a_list_of_options: "volume; t gocryptfs -o ro,dev c m -q -passfile pw; shown; end; t gocryptfs -q -o=ro,passfile=pw c m; shown; end",
    only_the_last_list_counts: "volume; t gocryptfs -q -o ro -o dev,passfile=pw c m; shown; end",
    a_list_may_be_empty: "volume; t gocryptfs -q -passfile pw -o '' c m; shown; end; t gocryptfs -q -passfile pw -o ,,ro, c m; shown; end",
    a_list_with_an_unknown_option: "volume; t gocryptfs -q -passfile pw c m -o nosuchoption; t gocryptfs -q -passfile pw -o uid=5 c m",
    a_list_in_a_list: "volume; t gocryptfs -q -passfile pw -o ro,o c m; t gocryptfs -q -passfile pw -o -o c m; t gocryptfs -q -passfile pw -o o=x c m",
    a_list_that_is_missing: "volume; t gocryptfs -q -passfile pw c m -o; t gocryptfs c -o; t gocryptfs -o",
    a_list_after_two_dashes_is_none: "volume; t gocryptfs -q -passfile pw -- c m -o ro; t gocryptfs -q -passfile pw -o ro -- c m",
    two_dashes_before_o_are_ignored: "volume; t gocryptfs -q -passfile pw --o ro c m; shown; end",
    a_list_with_values: "volume; t gocryptfs -q -o passfile=pw,fsname=x=y,idle=1h c m; shown; end",
    a_list_with_a_truth: "volume; t gocryptfs -q -o passfile=pw,ro=false,dev=true c m; shown; end",
    the_cipher_directory_is_missing: "for a in '' -init -info -passwd -fsck '-q -init' '-fg' '-passfile pw'; do t gocryptfs $a; done",
    the_cipher_directory_is_none: "
        for a in '' -init -info -passwd -fsck '-fg'; do t gocryptfs $a /nowhere; t gocryptfs $a pw; done
        mkdir m; t gocryptfs /nowhere m; t gocryptfs pw m; t gocryptfs -fg pw m; ln -s nowhere dangling; t gocryptfs -info dangling",
    one_word_alone: "mkdir c; t gocryptfs c; t gocryptfs -q c; t gocryptfs -passfile pw c",
    too_many_words: "
        volume
        t gocryptfs c m x; t gocryptfs -info c m; t gocryptfs -init c m; t gocryptfs -passwd c m; t gocryptfs -fsck c m
        t gocryptfs -fg -info c m; t gocryptfs -fg c m x; t gocryptfs -info c m x",
    two_actions: "
        volume
        t gocryptfs -init -info c; t gocryptfs -info -passwd c; t gocryptfs -fsck -info c; t gocryptfs -init -passwd -fsck c m
        t gocryptfs -info -version c",
    what_is_found_first: "
        volume; mkdir empty
        t gocryptfs -init -info /nowhere
        t gocryptfs -exclude x /nowhere m
        t gocryptfs -exclude x -config /nowhere c m
        t gocryptfs -exclude x -force_owner x c m
        t gocryptfs -exclude x -init -info c
        t gocryptfs -force_owner x -init -info c
        t gocryptfs -force_owner x -info c
        t gocryptfs -extpass x -passfile y -info c
        t gocryptfs -extpass x -passfile y /nowhere m
        t gocryptfs -extpass x -passfile y -exclude x c m
        t gocryptfs -idle=-1s -exclude x c m
        t gocryptfs -longnamemax 5 -info /nowhere
        t gocryptfs -badname '[' /nowhere m
        t gocryptfs -badname '[' -exclude x c m",
    excluding_makes_no_sense_forward: "volume; t gocryptfs -exclude x c m -passfile pw; t gocryptfs -e x c m -passfile pw; t gocryptfs -e x -info c",
    other_exclusions_are_ignored_forward: "volume; t gocryptfs -q -ew x -passfile pw c m; end; t gocryptfs -q -exclude-from /nowhere -passfile pw c m; end",
    passwords_from_two_places: "
        volume
        t gocryptfs -extpass 'cat pw' -passfile pw c m
        t gocryptfs -masterkey 00 -passfile pw c m
        t gocryptfs -masterkey 00 -extpass 'cat pw' c m
        t gocryptfs -fido2 /dev/x -extpass 'cat pw' c m
        t gocryptfs -info -extpass 'cat pw' -passfile pw c",
    flags_that_mean_nothing_any_more: "mkdir c m; t gocryptfs -q -init -scryptn 10 -passfile pw -devrandom -forcedecode c; t gocryptfs -q -passfile pw -nofail -forcedecode c m; end",
    openssl: "volume; for a in auto true false x ''; do t gocryptfs -q -openssl=$a -passfile pw c m; end; done",
    profiles: "volume; t gocryptfs -q -cpuprofile cpu -memprofile mem -trace trace -passfile pw c m; end",
    an_unset_path_of_programs: "volume; g=$(command -v gocryptfs); t env -u PATH \"$g\" -q -extpass 'cat pw' c m; end",
    standard_streams_may_be_closed: "volume; gocryptfs -q -passfile pw c m <&- >&- 2>&-; echo $?; shown; end",
}
