# What needs a server's configuration or a second connection to be seen: counters in
# shared memory, notifications, settings given before the library is there.

use strict;
use warnings;

use FindBin;
use lib $FindBin::RealBin;

use BurnNote;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

my $node = burn_node('settings', conf => <<~'CONF');
	shared_preload_libraries = 'burn_note'
	burn_note.databases = ''
	burn_note.shard = 7
	CONF

# All counters but stats_reset, by name.
sub counters
{
	return $node->safe_psql('postgres', <<~'SQL');
		SELECT created, read, misses, wrong_passphrases, locked, revoked, expired, withheld,
			finished, pending_notes, pending_bytes FROM burn_stats
		SQL
}

is(counters(), '0|0|0|0|0|0|0|0|0|0|0', 'counters_begin_at_zero');

my $read = create($node);
my $rolled_back = create($node);
my $kept = create($node);
my ($revoked, $expired, $locked) = split /\|/, $node->safe_psql('postgres', <<~'SQL');
	SET burn_note.max_attempts = 1;
	SELECT burn_create('x'), burn_create('x', '5 ms'), burn_create('x', NULL, 'right');
	SQL
$node->poll_query_until('postgres', "SELECT state = 'expired' FROM burn_status('$expired')");
is(counters(), '6|0|0|0|0|0|0|0|0|5|' . 5 * 152, 'created_and_those_that_can_be_read_are_counted');

burn($node, $read) for 1 .. 3;
$node->safe_psql('postgres', "BEGIN; SELECT burn_read('$rolled_back'); ROLLBACK");
is($node->safe_psql('postgres', "SELECT burn_revoke('$revoked')"), 't', 'a note is revoked');
is($node->safe_psql('postgres', "SELECT burn_read('$locked', NULL, 'wrong') IS NULL"), 't', 'a note is locked');
is($node->safe_psql('postgres', 'SELECT burn_purge()'), 2, 'one note expired, one burn is finished');
is(counters(), '6|2|3|1|1|1|1|0|1|1|152', 'every_end_is_counted');

$node->safe_psql('postgres', 'SELECT burn_stats_reset()');
is(counters(), '0|0|0|0|0|0|0|0|0|1|152', 'reset');
is($node->safe_psql('postgres', 'SELECT stats_reset > pg_postmaster_start_time() FROM burn_stats'), 't', 'reset_time');

# Monitoring needs no more than pg_monitor; the reset is not for it.
$node->safe_psql('postgres', 'CREATE ROLE monitor LOGIN; GRANT pg_monitor TO monitor; CREATE ROLE nobody LOGIN');
is($node->safe_psql('postgres', 'SELECT pending_notes FROM burn_stats', extra_params => [ '-U', 'monitor' ]), 1, 'pg_monitor_may_look');
foreach my $refused ([ 'monitor', 'SELECT burn_stats_reset()' ], [ 'nobody', 'SELECT * FROM burn_stats' ],
	[ 'nobody', 'SELECT burn_stats_counters()' ])
{
	my ($role, $sql) = @$refused;
	isnt($node->psql('postgres', $sql, extra_params => [ '-U', $role ]), 0, "$role may not: $sql");
}

# Counted over all backends and databases.
$node->safe_psql('postgres', 'CREATE DATABASE other');
$node->safe_psql('other', q(CREATE EXTENSION burn_note CASCADE; SELECT burn_create('x')));
is($node->safe_psql('postgres', 'SELECT created, pending_notes FROM burn_stats'), '1|1', 'counted_for_the_server_pending_for_the_database');

# A server's number is in its tokens: byte 6 of what is behind the prefix.
is($node->safe_psql('postgres', <<~'SQL'), '7', 'shard_is_in_the_token');
	SELECT get_byte(decode(translate(substr(burn_create('x'), 5), '-_', '+/'), 'base64'), 6)
	SQL
$node->append_conf('postgresql.conf', 'burn_note.shard = 8');
$node->reload;
$node->poll_query_until('postgres', q(SELECT current_setting('burn_note.shard') = '8')) or die 'no reload';
is($node->safe_psql('postgres', <<~'SQL'), '8', 'shard_is_reloaded');
	SELECT get_byte(decode(translate(substr(burn_create('x'), 5), '-_', '+/'), 'base64'), 6)
	SQL

# NOTIFY: one for each receipt, with the transaction that writes it.
sub notified
{
	my ($sql) = @_;
	my $output = $node->safe_psql('postgres', "LISTEN receipts; SET burn_note.notify_channel = 'receipts';\n$sql;\nSELECT");
	return join ' ', map { /payload "(\S+ \S+)"/ ? $1 : () } split /\n/, $output;
}
my $token = create($node);
my $id = $node->safe_psql('postgres', "SELECT burn_note_id('$token')");
is(notified("BEGIN; SELECT burn_read('$token'); ROLLBACK"), '', 'rolled_back_burn_notifies_of_no_receipt');
is(notified("SELECT burn_purge()"), "$id read", 'finished_burn_notifies');
foreach my $end ([ 'read', "burn_read('%s')" ], [ 'revoked', "burn_revoke('%s')" ])
{
	my ($outcome, $call) = @$end;
	$token = create($node);
	$id = $node->safe_psql('postgres', "SELECT burn_note_id('$token')");
	is(notified('SELECT ' . sprintf($call, $token)), "$id $outcome", "${outcome}_note_notifies");
}
is(notified("RESET burn_note.notify_channel;\nSELECT burn_read('$kept')"), '', 'no_channel_no_notification');

# Nonsense is refused, and says why.
foreach my $nonsense ([ 'burn_note.actor', 'x' x 1025 ], [ 'burn_note.notify_channel', 'x' x 64 ])
{
	my ($name, $value) = @$nonsense;
	my ($ret, $stdout, $stderr) = $node->psql('postgres', "SET $name = '$value'");
	like($stderr, qr/invalid value for parameter "$name".*DETAIL:  It has more than \d+ bytes/s, "$name refuses nonsense");
}

# A setting can come in bytes that are no text: they must not get into a dump.
{
	my $victim = create($node);
	local $ENV{PGOPTIONS} = "-c burn_note.actor=\xff\xfe";
	my ($ret, $stdout, $stderr) = $node->psql('postgres', "SELECT burn_read('$victim')");
	like($stderr, qr/burn_note.actor is not valid text/, 'an actor in no encoding is refused');
	delete local $ENV{PGOPTIONS};
	reads_once($node, $victim);
}

# Not preloaded: no counters, and the view says so.
my $plain = burn_node('unpreloaded');
$plain->safe_psql('postgres', "SELECT burn_create('x')");
is($plain->safe_psql('postgres', 'SELECT created, stats_reset, pending_notes FROM burn_stats'), '||1', 'unpreloaded_counts_nothing_and_says_so');
$plain->safe_psql('postgres', 'SELECT burn_stats_reset()');

done_testing();
