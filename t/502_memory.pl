#
# What a backend's memory holds after it created and read notes. Of ours nothing is left:
# not the secret that a token encodes, not the key, not the fuse's key half. Of
# PostgreSQL's own copies of arguments and results some are, which SECURITY.md says; the
# test prints how many.
#
# By default nobody but root can look: such a backend cannot be dumped or traced. So all
# but that is seen with burn_note.dumpable on.
#
use strict;
use warnings;

use FindBin;
use lib $FindBin::RealBin;

use BurnNote;
use List::Util qw(sum0);
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

plan skip_all => 'needs /proc' unless -r "/proc/$$/mem";

my $node = burn_node('memory', conf => "max_connections = 10\nshared_buffers = 8MB\n");
$node->safe_psql('postgres', 'CREATE EXTENSION pageinspect');

# What the process can write to, its own ('p') and what it shares with others ('s');
# undef if that may not be read.
sub memory_of
{
	my ($pid, $kind) = @_;
	$kind //= 'ps';
	my @regions;

	open my $maps, '<', "/proc/$pid/maps" or return undef;
	while (<$maps>)
	{
		push @regions, [ hex $1, hex $2 ] if /^([0-9a-f]+)-([0-9a-f]+) rw.[$kind]/;
	}
	close $maps;
	open my $mem, '<:raw', "/proc/$pid/mem" or return undef;
	my $memory = '';
	foreach my $region (@regions)
	{
		my ($from, $to) = @$region;
		sysseek $mem, $from, 0 or next;
		while ($from < $to)
		{
			my $read = sysread $mem, my $part, $to - $from;
			last unless $read;
			$memory .= $part;
			$from += $read;
		}
		$memory .= "\n";
	}
	close $mem;
	return $memory;
}

sub times_in
{
	my ($memory, $secret) = @_;
	my $times = () = $memory =~ /\Q$secret\E/g;
	return $times;
}

# A session, its pid, and what it has of dumpable.
sub session
{
	my ($dumpable) = @_;
	local $ENV{PGOPTIONS} = "-c session_preload_libraries=burn_note";
	my $session = $node->background_psql('postgres', on_error_stop => 0);

	$session->query_safe("SET burn_note.dumpable = $dumpable");
	return ($session, $session->query_safe('SELECT pg_backend_pid()'));
}

# An expression for a text that is not in the statement as it is.
sub hidden
{
	return "reverse('" . reverse($_[0]) . "')";
}

sub bytes
{
	return pack 'H*', $node->safe_psql('postgres', "SELECT encode($_[0], 'hex')");
}

# ----------
# By default nobody looks
# ----------

{
	my ($session, $pid) = session('off');

	ok(defined memory_of($pid), 'a backend that handled no secret can be looked into');
	$session->query_safe(q(SELECT burn_create('x')));
	ok(!defined memory_of($pid), 'one that did can not');
	$session->query_safe('SELECT 1');
	ok(!defined memory_of($pid), 'for good');
	is((stat "/proc/$pid/mem")[4], 0, 'its memory belongs to root');
	$session->quit;

	($session, $pid) = session('off');
	$session->query(q(SELECT burn_note_id('not a token')));
	ok(!defined memory_of($pid), 'nor one that was given what is no token');
	$session->quit;
}

# ----------
# What is left
# ----------

SKIP:
{
	my ($session, $pid) = session('on');

	$session->query_safe(q(SELECT burn_create('x')));
	skip 'a process of the same user may not be traced here', 15 unless defined memory_of($pid);
	pass('dumpable on, the control: it can be looked into');

	my ($note, $passphrase) = ('the-note-of-dumpable', 'the-passphrase-of-dumpable');
	my $token = $session->query_safe('SELECT burn_create(' . hidden($note) . ", '1 day', " . hidden($passphrase) . ')');
	my $secret = bytes("substr(decode(translate(substr('$token', 5), '-_', '+/'), 'base64'), 8, 32)");
	my $half = bytes(<<~SQL);
		substr((SELECT t_data FROM heap_page_items(get_raw_page('burn_note',
			(SELECT split_part(trim(ctid::text, '()'), ',', 1)::integer FROM burn_note WHERE id = burn_note_id('$token'))))
			WHERE substr(t_data, 1, 16) = uuid_send(burn_note_id('$token'))), 37, 32)
		SQL
	my $before = memory_of($pid);
	cmp_ok(times_in($before, $half), '>=', 1, 'the control: before the burn the key half is in a shared buffer');
	is(times_in($before, $secret), 0, 'the secret that the token encodes is not left after creating');

	is($session->query_safe('SELECT burn_read(' . hidden($token) . ', NULL, ' . hidden($passphrase) . ')'), $note, 'the note is read');
	my $after = memory_of($pid);

	is(times_in(memory_of($pid, 'p'), $half), 0, 'nothing_of_ours_is_left: the key half in its own memory');
	$node->safe_psql('postgres', q(SELECT pg_logical_emit_message(false, '', repeat('x', 4000000))));
	is(times_in(memory_of($pid), $half), 0, 'nor in shared memory, once its WAL is not buffered any more');
	is(times_in($after, $secret), 0, 'nothing_of_ours_is_left: the secret of the token');
	my $hash = bytes("digest('burn_note rct v1'::bytea || substr(decode(translate(substr('$token', 5), '-_', '+/'), 'base64'), 1, 39), 'blake2b512')");
	is(times_in($after, substr($hash, 0, 32)), 0, 'nothing_of_ours_is_left: the secret of the receipt token');

	my %text = (note => $note, token => $token, passphrase => $passphrase);
	my %left = map { $_ => times_in($after, $text{$_}) } keys %text;
	note "left by PostgreSQL after a burn: $_ $left{$_} times" foreach sort keys %left;
	cmp_ok($left{token}, '>=', 1, 'the control: the scan finds what PostgreSQL keeps');
	$session->query_safe('SELECT count(*) FROM pg_class') for 1 .. 10;
	my $later = memory_of($pid);
	note "left ten statements later: $_ ", times_in($later, $text{$_}), ' times' foreach sort keys %text;

	# A passphrase that is normalized: its code points, decomposed and composed. PostgreSQL's
	# own normalize() is the control.
	my ($accented, $control) =
	  (q(repeat(U&'re\0301sume\0301-dumpable', 40)), q(repeat(U&'be\0301ne\0301-dumpable', 40)));
	my @forms = map { pack 'V*', map { ord } split //, $_ }
	  "s\x{e9}-dumpable", "\x{e9}sum", "sume\x{301}", "re\x{301}sum";
	my @control_forms = map { pack 'V*', map { ord } split //, $_ } "be\x{301}n", "b\x{e9}n";
	$token = $session->query_safe("SELECT burn_create('a note', NULL, $accented)");
	is($session->query_safe("SELECT burn_read('$token', NULL, $accented)"), 'a note',
		'a note whose passphrase is normalized is read');
	$session->query_safe("SELECT normalize($control, NFC)");
	$after = memory_of($pid);
	cmp_ok(sum0(map { times_in($after, $_) } @control_forms), '>=', 1,
		'the control: what PostgreSQL normalizes is left');
	is(sum0(map { times_in($after, $_) } @forms), 0, 'nothing_of_ours_is_left: the code points of the passphrase');
	$session->quit;

	# A note that was opened, and not returned, in a transaction that waits for its ROLLBACK.
	# (It was created elsewhere.)
	$token = create($node, 'the-note-of-an-error');
	($session, $pid) = session('on');
	$session->query_safe(q(CREATE FUNCTION reads(token text) RETURNS bytea LANGUAGE plpgsql AS
		'DECLARE note bytea; BEGIN note := burn_read_bytes(token); RETURN note; END'));
	$session->query_safe('BEGIN');
	$session->query("SELECT reads('$token')");
	$session->{stderr} = '';
	is(times_in(memory_of($pid, 'p'), 'the-note-of-an-error'), 0, 'nothing_of_ours_is_left: a note that was not returned');
	$session->query_safe('ROLLBACK');
	is($session->query_safe("SELECT burn_read('$token')"), 'the-note-of-an-error', 'the control: it was opened, and is not burned');
	cmp_ok(times_in(memory_of($pid, 'p'), 'the-note-of-an-error'), '>=', 1, 'and is found where PostgreSQL keeps it');
	$session->quit;

	# The same with literals.
	($session, $pid) = session('on');
	$token = $session->query_safe(q(SELECT burn_create('the-note-of-literals', '1 day', 'the-passphrase-of-literals')));
	$session->query_safe("SELECT burn_read('$token', NULL, 'the-passphrase-of-literals')");
	foreach my $later ('at once', 'after ten more statements')
	{
		my $memory = memory_of($pid);
		note "left with literals, $later: $_->[0] ", times_in($memory, $_->[1]), ' times'
		  foreach ([ note => 'the-note-of-literals' ], [ token => $token ], [ passphrase => 'the-passphrase-of-literals' ]);
		$session->query_safe('SELECT count(*) FROM pg_class') for 1 .. 10;
	}
	$session->quit;
}

done_testing();
