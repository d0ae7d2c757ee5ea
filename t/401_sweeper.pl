#
# The sweeper: with the library preloaded, burns that were rolled back are finished,
# notes expire and old receipts go without anybody calling anything, whatever happens to
# the databases, the extension and the processes meanwhile.
#
use strict;
use warnings;

use FindBin;
use lib $FindBin::RealBin;

use BurnNote ();
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

use constant PRELOADED => <<~'CONF';
	shared_preload_libraries = 'burn_note'
	burn_note.purge_interval = '1s'
	CONF

# Makes each receipt take a tenth of a second, and wait while the data directory has HOLD
use constant HOLD => 'hold';
use constant DAWDLE => <<~"SQL";
	CREATE FUNCTION dawdle() RETURNS trigger LANGUAGE plpgsql AS \$\$
	BEGIN
		LOOP
			PERFORM pg_sleep(0.1);
			EXIT WHEN (pg_stat_file('${\HOLD}', true)).size IS NULL;
		END LOOP;
		RETURN NULL;
	END \$\$;
	CREATE TRIGGER dawdle AFTER INSERT ON burn_receipt FOR EACH ROW EXECUTE FUNCTION dawdle();
	SQL

# A running server without the extension.
sub start_node
{
	my ($name, $conf, %init) = @_;
	my $node = PostgreSQL::Test::Cluster->new($name);

	$node->init(%init);
	$node->append_conf('postgresql.conf', <<~'CONF' . $conf);
		autovacuum = off
		log_statement = none
		max_connections = 20
		restart_after_crash = on
		CONF
	$node->start;
	return $node;
}

sub add_extension
{
	my ($node, $database) = @_;

	$node->safe_psql('postgres', "CREATE DATABASE $database") if $database ne 'postgres';
	$node->safe_psql($database, 'CREATE EXTENSION burn_note CASCADE');
	return;
}

# A burn that is rolled back: the id of its note.
sub burn_in_vain
{
	my ($node, $database) = @_;
	my $token = $node->safe_psql($database, "SELECT burn_create('note')");

	$node->safe_psql($database, "BEGIN; SELECT burn_read('$token'); ROLLBACK");
	return $node->safe_psql($database, "SELECT burn_note_id('$token')");
}

# So many notes that expire at once: the id of the last.
sub expire
{
	my ($node, $database, $notes) = @_;
	$notes //= 1;

	return $node->safe_psql($database, <<~SQL);
		SELECT burn_note_id(token) FROM (
			SELECT n, burn_create('note', '1 ms') AS token FROM generate_series(1, $notes) AS n
		) AS created ORDER BY n DESC LIMIT 1
		SQL
}

# Has the note its one receipt, and no row any more? Waits for it.
sub ends
{
	my ($node, $database, $id, $outcome, $what) = @_;
	local $Test::Builder::Level = $Test::Builder::Level + 1;

	ok($node->poll_query_until($database, <<~SQL, $outcome), $what);
		SELECT string_agg(outcome::text, ', ') FROM burn_receipt
		WHERE id = '$id' AND NOT EXISTS (SELECT FROM burn_note WHERE id = '$id')
		SQL
	return;
}

sub is_swept
{
	my ($node, $database, $what) = @_;
	local $Test::Builder::Level = $Test::Builder::Level + 1;

	ends($node, $database, burn_in_vain($node, $database), 'r', $what);
	return;
}

# Waits for a process of the sweeper; returns its pid.
sub process
{
	my ($node, $type, $where) = @_;
	my $query = "SELECT pid FROM pg_stat_activity WHERE backend_type = 'burn_note $type' AND "
	  . ($where // 'true');
	my $pid;

	$node->poll_query_until('postgres', "SELECT EXISTS ($query)") or die "no $type";
	$pid = $node->safe_psql('postgres', $query);
	return $pid eq '' ? process(@_) : $pid;
}

# Gives the worker work for more than a second in that database, and waits until it is at
# it, where it stays until let_go().
sub slow_sweep
{
	my ($node, $database) = @_;

	append_to_file($node->data_dir . '/' . HOLD, '');
	my $id = expire($node, $database, 12);
	return ($id, process($node, 'sweeper', "datname = '$database'"));
}

sub let_go
{
	my ($node) = @_;
	unlink($node->data_dir . '/' . HOLD) or die $!;
	return;
}

# A note that has expired, of a session that was there before: nobody sweeps its database
# until sweep_again().
sub unswept_note
{
	my ($node, $database, $session) = @_;

	$node->safe_psql('postgres', "ALTER DATABASE $database SET default_transaction_read_only = on");
	$node->poll_query_until('postgres', <<~SQL) or die 'a sweeper stays';
		SELECT NOT EXISTS (SELECT FROM pg_stat_activity WHERE backend_type = 'burn_note sweeper' AND datname = '$database')
		SQL
	return $session->query_safe("SELECT burn_note_id(burn_create('note', '1 ms'))");
}

sub sweep_again
{
	my ($node, $database) = @_;

	$node->safe_psql('postgres', "ALTER DATABASE $database RESET default_transaction_read_only");
	return;
}

sub sqlstate
{
	my ($node, $sql) = @_;
	my ($status, $stdout, $stderr) =
	  $node->psql('postgres', $sql, extra_params => [ '-v', 'VERBOSITY=verbose' ]);

	return $stderr =~ /ERROR:  (\w{5}): (.*(?:\nDETAIL:.*)?)/ ? "$1 $2" : $stdout;
}

sub log_since
{
	my ($node, $start) = @_;
	return substr(slurp_file($node->logfile), $start);
}

my $node = start_node('sweeper', '');
my ($id, $pid, $session, $kept, $log_start);

#
# What it does, in two databases beside others
#
add_extension($node, $_) foreach 'postgres', 'app', 'fleeting', 'slow';
$node->safe_psql('postgres', 'CREATE DATABASE bare');
$node->append_conf('postgresql.conf', PRELOADED);
$node->restart;
$log_start = -s $node->logfile;
my %sweep = map { $_ => burn_in_vain($node, $_) } 'postgres', 'app';
my %expiry = map { $_ => expire($node, $_, 2500) } 'postgres', 'app';
foreach my $database ('postgres', 'app')
{
	ends($node, $database, $sweep{$database}, 'r', "rolled_back_burns_are_finished_uncalled in $database");
	ends($node, $database, $expiry{$database}, 'e', "notes_expire_uncalled in $database");
	ok($node->poll_query_until($database, 'SELECT count(*) = 0 FROM burn_note'),
		"more_notes_than_a_batch_has_expire in $database");
}
$node->safe_psql('postgres', 'ALTER DATABASE app SET burn_note.receipt_retention = 1');
$node->reload;
ok($node->poll_query_until('app', "SELECT string_agg(outcome::text, ', ') FROM burn_receipt", 'r'),
	'old_receipts_go_uncalled');
$node->safe_psql('postgres', 'ALTER DATABASE app RESET burn_note.receipt_retention');
is($node->safe_psql('postgres', 'SELECT count(*) FROM burn_receipt'), 2501,
	'a_database_has_its_own_retention');

#
# What others see of it
#
is( $node->safe_psql('postgres', <<~'SQL'), 'burn_note launcher|t|t|t', 'pg_stat_activity_shows_the_launcher');
	SELECT application_name, datid IS NULL, query IN ('', 'sweeping'), backend_xmin IS NULL
	FROM pg_stat_activity WHERE backend_type = 'burn_note launcher'
	SQL

$node->safe_psql('slow', DAWDLE);
($id, $pid) = slow_sweep($node, 'slow');
is($node->safe_psql('postgres', <<~SQL), 'burn_note sweeper|slow|active|sweeping|', 'pg_stat_activity_shows_the_worker');
	SELECT application_name, datname, state, query, client_addr FROM pg_stat_activity WHERE pid = $pid
	SQL
SKIP:
{
	skip 'no /proc', 1 if !-r "/proc/$pid/cmdline";
	like(slurp_file("/proc/$pid/cmdline"), qr/burn_note sweeper slow/, 'the_process_title_shows_the_worker');
}

#
# Databases that are renamed, copied and dropped while they are swept
#
let_go($node);
$node->safe_psql('postgres', 'ALTER DATABASE slow RENAME TO slower');
ends($node, 'slower', $id, 'e', 'a_database_can_be_renamed_while_it_is_swept');
($id) = slow_sweep($node, 'slower');
let_go($node);
$node->safe_psql('postgres', 'CREATE DATABASE copy TEMPLATE slower');
ends($node, 'copy', $id, 'e', 'a_database_can_be_copied_while_it_is_swept');
$node->safe_psql('copy', 'DROP TRIGGER dawdle ON burn_receipt');
is_swept($node, 'copy', 'the_copy_is_swept');
$node->safe_psql('postgres', 'DROP DATABASE copy');
ends($node, 'slower', $id, 'e', 'the_original_is_swept');

#
# Processes that end: killed, and terminated
#
($id, $pid) = slow_sweep($node, 'slower');
BurnNote::kill_backend($node, $pid);
let_go($node);
ends($node, 'slower', $id, 'e', 'a_killed_worker_is_followed_by_another');

($id, $pid) = slow_sweep($node, 'slower');
is($node->safe_psql('postgres', "SELECT pg_terminate_backend($pid, 180000)"), 't', 'a_worker_can_be_terminated');
let_go($node);
is_swept($node, 'postgres', 'a_terminated_worker_does_not_stop_the_sweeper');
ends($node, 'slower', $id, 'e', 'a_terminated_worker_is_followed_by_another');

slow_sweep($node, 'slower');
let_go($node);
$node->safe_psql('postgres', 'DROP DATABASE slower');
pass('a_database_can_be_dropped_while_it_is_swept');

$pid = process($node, 'launcher');
$node->safe_psql('postgres', "SELECT pg_terminate_backend($pid, 180000)");
isnt(process($node, 'launcher'), $pid, 'a_terminated_launcher_is_followed_by_another');

#
# Locks
#
$log_start = -s $node->logfile;
$session = $node->background_psql('app');
$kept = unswept_note($node, 'app', $session);
$session->query_safe("BEGIN; SELECT FROM burn_note WHERE id = '$kept' FOR UPDATE");
sweep_again($node, 'app');
ends($node, 'app', expire($node, 'app'), 'e', 'a_locked_row_is_not_waited_for');
is($node->safe_psql('app', "SELECT count(*) FROM burn_note WHERE id = '$kept'"), 1,
	'nor_is_it_removed');
$session->query_safe('COMMIT');
ends($node, 'app', $kept, 'e', 'it_is_when_it_is_free');

$id = expire($node, 'app');
$session->query_safe('BEGIN; LOCK TABLE burn_note IN ACCESS EXCLUSIVE MODE');
is_swept($node, 'postgres', 'a_locked_table_does_not_stop_other_databases');
$session->query_safe('COMMIT');
ends($node, 'app', $id, 'e', 'its_notes_expire_when_it_is_free');

# Somebody else's receipt of it
$kept = unswept_note($node, 'app', $session);
$session->query_safe(<<~SQL);
	BEGIN;
	INSERT INTO burn_receipt (id, created_at, closed_at, outcome) VALUES ('$kept', now(), now(), 'e');
	SQL
sweep_again($node, 'app');
ends($node, 'app', expire($node, 'app'), 'e', 'a_receipt_that_somebody_else_is_writing_stops_no_others');
is($node->safe_psql('app', "SELECT count(*) FROM burn_note WHERE id = '$kept'"), 1,
	'nor_is_its_note_removed');
$session->query_safe('ROLLBACK');
ends($node, 'app', $kept, 'e', 'it_is_when_that_is_rolled_back');

$session->query_safe("BEGIN; DROP EXTENSION burn_note");
is_swept($node, 'postgres', 'an_extension_that_is_being_dropped_stops_nobody');
$session->query_safe('ROLLBACK');
$session->quit;
unlike(log_since($node, $log_start), qr/ERROR|FATAL|WARNING/, 'locks_are_waited_for_quietly');

#
# An extension that goes and comes back, elsewhere
#
$node->safe_psql('fleeting', 'DROP EXTENSION burn_note');

#
# Whose rights the sweeper has: the owner of a database, who has installed the extension
#
$node->safe_psql('postgres', <<~'SQL');
	CREATE ROLE regress_installer LOGIN;
	CREATE ROLE regress_owner;
	CREATE DATABASE theirs OWNER regress_installer;
	SQL
$node->safe_psql('theirs', 'CREATE EXTENSION pgcrypto');
$node->safe_psql('theirs', <<~'SQL', extra_params => [ '-U', 'regress_installer' ]);
	CREATE SCHEMA notes;
	CREATE EXTENSION burn_note SCHEMA notes;
	CREATE TABLE public.witness (who text, what text);
	CREATE SCHEMA later;
	CREATE FUNCTION later.burn_purge(integer) RETURNS bigint LANGUAGE plpgsql AS
		$$ BEGIN INSERT INTO public.witness VALUES (current_user, 'called the wrong one'); RETURN 0; END $$;
	ALTER EXTENSION burn_note ADD FUNCTION later.burn_purge(integer);
	ALTER DATABASE theirs SET search_path = notes, public;
	SQL
is_swept($node, 'theirs', 'the_extensions_owner_has_its_notes_swept');
is($node->safe_psql('theirs', 'SELECT * FROM witness'), '',
	'a_function_that_the_owner_adds_is_not_called');

# Another role owns the receipts, at first only these, and has written a trigger
$node->safe_psql('theirs', <<~'SQL');
	CREATE FUNCTION attack() RETURNS trigger LANGUAGE plpgsql AS $$
	BEGIN
		INSERT INTO public.witness VALUES (current_user, 'receipt');
		PERFORM set_config('role', 'none', false);
		INSERT INTO public.witness VALUES (current_user, 'escaped');
		RETURN NULL;
	EXCEPTION WHEN insufficient_privilege THEN
		INSERT INTO public.witness VALUES (current_user, 'was refused');
		RETURN NULL;
	END $$;
	GRANT INSERT ON witness TO regress_owner;
	GRANT USAGE ON SCHEMA notes TO regress_owner;
	ALTER TABLE burn_receipt OWNER TO regress_owner;
	CREATE TRIGGER attack AFTER INSERT ON burn_receipt FOR EACH ROW EXECUTE FUNCTION attack();
	SQL

#
# Failures: there, and of a CHECK in another database
#
$log_start = -s $node->logfile;
$node->safe_psql('app', "ALTER TABLE burn_receipt ADD CONSTRAINT no_end CHECK (outcome <> 'e') NOT VALID");
my %failing = map { $_ => expire($node, $_) } 'app', 'theirs';
$node->wait_for_log(qr/violates check constraint "no_end".*sweeping database "app"/s, $log_start);
$node->wait_for_log(qr/do not have the same owner.*sweeping database "theirs"/s, $log_start);
is_swept($node, 'postgres', 'failures_in_other_databases_do_not_stop_the_sweeper');
is($node->safe_psql('app', "SELECT count(*) FROM burn_note WHERE id = '$failing{app}'"), 1,
	'a_note_stays_if_its_receipt_fails');
is($node->safe_psql('theirs', 'SELECT count(*) FROM witness'), 0,
	'tables_of_several_owners_are_not_swept');
unlike(log_since($node, $log_start), qr/b[nr]1_|PANIC|terminated by signal/, 'the_log_tells_no_secret');

$node->safe_psql('app', 'ALTER TABLE burn_receipt DROP CONSTRAINT no_end');
$node->safe_psql('theirs', 'ALTER TABLE burn_note OWNER TO regress_owner; ALTER TABLE burn_attempt OWNER TO regress_owner');
$node->safe_psql('fleeting', 'CREATE SCHEMA notes; CREATE EXTENSION burn_note SCHEMA notes');
$node->safe_psql('postgres', 'ALTER DATABASE fleeting SET search_path = notes, public');
ends($node, 'app', $failing{app}, 'e', 'it_expires_when_its_receipt_can_be_written');
ends($node, 'theirs', $failing{theirs}, 'e', 'tables_of_another_owner_are_swept');
is($node->safe_psql('theirs', 'SELECT DISTINCT who, what FROM witness'), 'regress_owner|was refused',
	'triggers_run_as_the_tables_owner_and_cannot_escape');
is_swept($node, 'fleeting', 'a_re_created_extension_is_found_in_its_new_schema');
unlike(log_since($node, $log_start), qr/(?:ERROR|FATAL|WARNING).*sweeping database "fleeting"/,
	'absence_is_no_error');

# What an upgrade's script may do; and what clients may be given
$node->safe_psql('fleeting', <<~'SQL');
	BEGIN;
	ALTER EXTENSION burn_note DROP FUNCTION burn_purge(integer);
	DROP FUNCTION burn_purge(integer);
	CREATE FUNCTION burn_purge(max_notes integer DEFAULT 1) RETURNS bigint
		AS '$libdir/burn_note' LANGUAGE C;
	ALTER EXTENSION burn_note ADD FUNCTION burn_purge(integer);
	COMMIT;
	ALTER DATABASE fleeting SET default_transaction_isolation = serializable;
	SQL
is_swept($node, 'fleeting', 'an_upgraded_extension_is_found');

#
# Settings
#
like(sqlstate($node, "ALTER SYSTEM SET burn_note.purge_interval = 0"),
	qr/^22023 0 s is outside the valid range for parameter "burn_note.purge_interval" \(1( s)? /,
	'purge_interval_has_limits');
is(sqlstate($node, q(ALTER SYSTEM SET burn_note.databases = '*, app')), <<~'ERROR' =~ s/\n\z//r, 'databases_are_all_or_a_list');
	22023 invalid value for parameter "burn_note.databases": "*, app"
	DETAIL:  "*" stands for every database and cannot stand beside a name.
	ERROR
is(sqlstate($node, q(ALTER SYSTEM SET burn_note.databases = 'app, "odd')), <<~'ERROR' =~ s/\n\z//r, 'databases_is_a_list');
	22023 invalid value for parameter "burn_note.databases": "app, "odd"
	DETAIL:  It must be "*", or a list of database names separated by commas.
	ERROR
like(sqlstate($node, 'SET burn_note.purge_interval = 1'), qr/^55P02 /, 'clients_cannot_set_purge_interval');
like(sqlstate($node, q(ALTER SYSTEM SET burn_note.databases = 'app, "Odd, name"'; SHOW burn_note.databases)),
	qr/^\*$/m, 'databases_needs_a_restart');

# A sweep at the start, and then none that is near
$node->append_conf('postgresql.conf', "burn_note.purge_interval = '1d'\n");
$node->reload;
$node->safe_psql('postgres', 'CREATE DATABASE "Odd, name"');
$node->safe_psql('Odd, name', 'CREATE EXTENSION burn_note CASCADE');
my $odd = burn_in_vain($node, 'Odd, name');
$node->safe_psql('Odd, name', DAWDLE);
expire($node, 'Odd, name', 30);
$node->stop('smart');
$node->start;
ends($node, 'Odd, name', $odd, 'r', 'databases_that_are_listed_are_swept_at_the_start');
ok($node->poll_query_until('Odd, name', 'SELECT count(*) = 0 FROM burn_note'),
	'what_takes_longer_than_a_sweep_is_gone_on_with_at_once');
$node->safe_psql('Odd, name', 'DROP TRIGGER dawdle ON burn_receipt');
$odd = burn_in_vain($node, 'Odd, name');
$kept = burn_in_vain($node, 'postgres');
$node->append_conf('postgresql.conf', "burn_note.purge_interval = '1s'\n");
$node->reload;
ends($node, 'Odd, name', $odd, 'r', 'purge_interval_is_obeyed_when_reloaded');
is_swept($node, 'app', 'every_listed_database_is_swept');
is($node->safe_psql('postgres', "SELECT count(*) FROM burn_note WHERE id = '$kept'"), 1,
	'databases_that_are_not_listed_are_not_swept');

# No slot: the first that is to be had is the logical replication launcher's
$node->append_conf('postgresql.conf', "max_worker_processes = 2\n");
$log_start = -s $node->logfile;
$node->stop('fast');
$node->start;
$node->wait_for_log(qr/burn_note cannot sweep because no background worker slot is free/, $log_start);
my $tried = "SELECT query_start FROM pg_stat_activity WHERE backend_type = 'burn_note launcher'";
$pid = $node->safe_psql('postgres', $tried);
ok($node->poll_query_until('postgres', "SELECT ($tried) > '$pid'::timestamptz + interval '1 s'"),
	'without_a_slot_the_launcher_tries_on');
is(scalar(() = log_since($node, $log_start) =~ /no background worker slot is free/g), 1,
	'and_says_so_once');

# pg_upgrade's mode
$node->stop('fast');
command_ok([ 'pg_ctl', '-w', '-D', $node->data_dir, '-l', $node->logfile, '-o', '-b', 'start' ],
	'server_starts_in_binary_upgrade_mode');
is($node->safe_psql('postgres', "SELECT count(*) FROM pg_stat_activity WHERE backend_type ~ 'burn_note'"), 0,
	'nothing_is_swept_in_binary_upgrade_mode');
command_ok([ 'pg_ctl', '-w', '-D', $node->data_dir, '-m', 'fast', 'stop' ], 'and_stops');

#
# Without preloading; and a standby with it, which takes over
#
my $primary = start_node('unpreloaded', '', allows_streaming => 1);
add_extension($primary, 'postgres');
$primary->backup('base');
my $standby = PostgreSQL::Test::Cluster->new('standby');
$standby->init_from_backup($primary, 'base', has_streaming => 1);
$standby->append_conf('postgresql.conf', PRELOADED);
$standby->start;

foreach my $setting ('purge_interval', 'databases')
{
	like(sqlstate($primary, "LOAD 'burn_note'; SET burn_note.$setting = 1"),
		qr/^42602 invalid configuration parameter name "burn_note.$setting"\nDETAIL:  "burn_note" is a reserved prefix/,
		"unpreloaded, $setting is unknown");
}
$id = burn_in_vain($primary, 'postgres');
$kept = expire($primary, 'postgres');
is($primary->safe_psql('postgres', 'SELECT burn_purge()'), 2, 'unpreloaded, burn_purge does the same');
ends($primary, 'postgres', $id, 'r', 'unpreloaded, a rolled-back burn is finished');
ends($primary, 'postgres', $kept, 'e', 'unpreloaded, a note expires');

$id = burn_in_vain($primary, 'postgres');
$primary->wait_for_catchup($standby);
is($standby->safe_psql('postgres', "SELECT count(*) FROM pg_stat_activity WHERE backend_type ~ 'burn_note'"), 0,
	'a_standby_is_not_swept');
$primary->stop('immediate');
$standby->promote;
ends($standby, 'postgres', $id, 'r', 'a_promoted_standby_is_swept');
unlike(slurp_file($standby->logfile), qr/ERROR|WARNING|PANIC/, 'and_nothing_failed_there');

done_testing();
