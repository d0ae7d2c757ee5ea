# A streaming standby replays notes, burns and rolled-back burns, checks every page
# against the primary's (wal_consistency_checking = all), and carries on after promotion.

use strict;
use warnings;

use FindBin;
use lib $FindBin::RealBin;

use Burn;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

# So many notes live and end in each of the ways that live() knows.
my $batches = 4;
my $batch = 100;

# A primary that checks all its WAL, and its standby.
sub start_pair
{
	my ($primary) = @_;

	# Without wal_log_hints the standby's hint bits differ from the primary's
	$primary->append_conf('postgresql.conf', <<~'CONF');
		wal_consistency_checking = all
		wal_log_hints = off
		wal_keep_size = 1GB
		CONF
	$primary->start;
	$primary->safe_psql('postgres', 'CREATE EXTENSION burn_note CASCADE');
	$primary->backup('base');

	my $standby = PostgreSQL::Test::Cluster->new($primary->name . '_standby');
	$standby->init_from_backup($primary, 'base', has_streaming => 1);
	$standby->start;
	return $standby;
}

my $primary = new_node('checked', allows_streaming => 1);
my $standby = start_pair($primary);

# The tokens are kept beside the notes, so that the standby's tests find them.
$primary->safe_psql(
	'postgres', <<~'SQL');
	CREATE TABLE told (n int PRIMARY KEY, token text, md5 text, ending text, answer text);
	CREATE FUNCTION note(n int) RETURNS text LANGUAGE sql IMMUTABLE AS
		$$ SELECT string_agg(md5(n || ':' || i), '')
			FROM generate_series(1, CASE WHEN n % 5 = 0 THEN 300 ELSE 2 END) AS i $$;
	CREATE PROCEDURE live(first int, last int) LANGUAGE plpgsql AS $$
	DECLARE
		got text;
		kept told;
	BEGIN
		FOR n IN first..last LOOP
			INSERT INTO told VALUES (n, burn_create(note(n)), md5(note(n)),
				(ARRAY['unread', 'read', 'rolled back', 'savepoint', 'create rolled back'])[n / 5 % 5 + 1])
				RETURNING * INTO kept;
			IF kept.ending = 'create rolled back' THEN
				ROLLBACK;
				CONTINUE;
			END IF;
			COMMIT;
			CONTINUE WHEN kept.ending = 'unread';
			IF kept.ending = 'savepoint' THEN
				BEGIN
					got := burn_read(kept.token, '192.0.2.1');
					RAISE EXCEPTION 'undo';
				EXCEPTION WHEN raise_exception THEN
				END;
			ELSE
				got := burn_read(kept.token, '192.0.2.1');
				IF kept.ending = 'rolled back' THEN
					ROLLBACK;
				END IF;
			END IF;
			UPDATE told SET answer = md5(got) WHERE told.n = kept.n;
			COMMIT;
		END LOOP;
	END $$;
	SQL
my $first_lsn = $primary->lsn('insert');
for my $i (0 .. $batches - 1)
{
	$primary->safe_psql('postgres',
		sprintf('CALL live(%d, %d)', $i * $batch + 1, ($i + 1) * $batch));

	# the next change of each page carries its image, and pages get pruned
	$primary->safe_psql('postgres', $i % 2 ? 'CHECKPOINT' : 'VACUUM burn_note');
}

# A page's image goes with the delete, just before the fuse is lit; unless a checkpoint
# comes between.
$primary->safe_psql(
	'postgres', sprintf(<<~'SQL', $batches * $batch + 1, $batches * $batch + 25));
	CREATE FUNCTION checkpoint() RETURNS trigger LANGUAGE plpgsql AS
		'BEGIN CHECKPOINT; RETURN NULL; END';
	CREATE TRIGGER checkpoint AFTER INSERT ON burn_receipt
		FOR EACH ROW EXECUTE FUNCTION checkpoint();
	CALL live(%d, %d);
	DROP TRIGGER checkpoint ON burn_receipt;
	SQL
my $last_lsn = $primary->lsn('insert');

is( $primary->safe_psql('postgres', 'SELECT count(*) FROM told WHERE answer IS DISTINCT FROM
		CASE WHEN ending <> $$unread$$ THEN md5 END'),
	'0', 'every_read_on_the_primary_answers_the_note');

my ($wal, undef) = run_command(
	[
		'pg_waldump', '--path', $primary->data_dir . '/pg_wal',
		'--start', $first_lsn, '--end', $last_lsn
	]);
my @records = split /\n/, $wal;
my @generic = grep { /rmgr: Generic/ } @records;
my $burns = $primary->safe_psql('postgres', 'SELECT count(*) FROM told WHERE answer IS NOT NULL');
is(scalar @generic, $burns, "each_of_$burns\_burns_wrote_one_generic_record");
ok((grep { /FPW/ && !/for WAL verification/ } @generic) > 0
	  && (grep { !/FPW/ } @generic) > 0,
	'burns_were_logged_with_and_without_a_full_page_image');
is((grep { /FPW for WAL verification/ } @generic) + 0,
	0, 'the_fuse_record_is_left_out_of_wal_consistency_checking');
ok((grep { /rmgr: Heap .*FPW for WAL verification/ } @records) > 0,
	'every_other_record_is_checked');

$primary->wait_for_catchup($standby);
pass('the_standby_catches_up');

my $statuses = "SELECT n, ending, answer IS NULL AS unread, s.*, burn_verify_receipt(token)
	FROM told, burn_status(token) AS s ORDER BY n";
is( $standby->safe_psql('postgres', $statuses),
	$primary->safe_psql('postgres', $statuses),
	'burn_status_on_the_standby_equals_the_primarys');
is( $standby->safe_psql(
		'postgres', <<~'SQL'),
		SELECT string_agg(DISTINCT concat_ws(' ', ending, state, client_ip, burn_verify_receipt(token)), ', ')
		FROM told, burn_status(token)
		SQL
	'read read 192.0.2.1 t, rolled back read 192.0.2.1 t, savepoint read 192.0.2.1 t, unread sealed',
	'burn_status_on_the_standby_sees_through_tombstones');
is( $standby->safe_psql('postgres', 'SELECT count(*) > 50 FROM burn_note JOIN told ON id = burn_note_id(token)
		WHERE answer IS NOT NULL'),
	't', 'rolled_back_burns_still_have_rows_on_the_standby');

my $unread = $standby->safe_psql('postgres', "SELECT token FROM told WHERE ending = 'unread' LIMIT 1");
is(sqlstate($standby, "SELECT burn_read('$unread')"), '25006', 'burn_read_on_a_standby_is_25006');
is(sqlstate($standby, "SELECT burn_create('x')"), '25006', 'burn_create_on_a_standby_is_25006');
is(sqlstate($standby, 'SELECT burn_purge()'), '25006', 'burn_purge_on_a_standby_is_25006');
is($standby->safe_psql('postgres', "SELECT state FROM burn_status('$unread')"),
	'sealed', 'a_note_refused_on_a_standby_stays_sealed');

unlike(slurp_file($standby->logfile), qr/WARNING|FATAL|PANIC/, 'the_standby_replays_silently');

$primary->stop('immediate');
$standby->promote;

is( $standby->safe_psql('postgres', "SELECT count(*), count(burn_read(token)) FROM told WHERE ending = 'read'"),
	$standby->safe_psql('postgres', "SELECT count(*), 0 FROM told WHERE ending = 'read'"),
	'burned_notes_stay_burned_after_promotion');

# half of the rolled-back ones are for burn_read to finish, half for burn_purge
is( $standby->safe_psql('postgres', "SELECT count(burn_read(token)) FROM told
		WHERE ending IN ('rolled back', 'savepoint') AND n % 2 = 0"),
	'0', 'rolled_back_burns_stay_burned_after_promotion');
my $left = $standby->safe_psql('postgres', "SELECT count(*) FROM told
	WHERE ending IN ('rolled back', 'savepoint') AND n % 2 = 1");
cmp_ok($left, '>', 0, 'some_rolled_back_burns_are_left_for_burn_purge');
is($standby->safe_psql('postgres', 'SELECT burn_purge()'),
	$left, 'burn_purge_finishes_rolled_back_burns_after_promotion');
is($standby->safe_psql('postgres', 'SELECT burn_purge()'),
	'0', 'a_second_burn_purge_has_nothing_to_do');
is( $standby->safe_psql('postgres', "SELECT count(*) FROM told WHERE ending = 'unread'
		AND md5(burn_read(token)) IS DISTINCT FROM md5"),
	'0', 'unread_notes_can_be_read_after_promotion');
is( $standby->safe_psql('postgres', "SELECT count(burn_read(token)) FROM told"),
	'0', 'and_only_once');
is( $standby->safe_psql(
		'postgres', 'SELECT (SELECT count(*) FROM burn_note),
			(SELECT count(*) FROM told), (SELECT count(*) FROM burn_receipt),
			(SELECT count(*) FROM told JOIN burn_receipt ON id = burn_note_id(token)
				WHERE burn_verify_receipt(token))'),
	join('|', 0, ($standby->safe_psql('postgres', 'SELECT count(*) FROM told')) x 3),
	'every_note_has_exactly_one_receipt_and_it_verifies');
$standby->stop;

# The control: were its record checked like any other, the hint bits of a row that the
# primary has looked at would stop a healthy standby.
SKIP:
{
	my $control = control_node('control', 'BURN_CHECK_WAL_STAGE', allows_streaming => 1);

	skip 'no control build (make test makes one)', 2 unless defined $control;
	my $stopped = start_pair($control);
	my $token = create($control, q{'short'});
	$control->wait_for_catchup($stopped);

	$control->safe_psql('postgres', 'SELECT count(*) FROM burn_note');
	is(answer_of($control, "SELECT burn_read('$token')"), 'short', 'control_the_primary_notices_nothing');
	$stopped->wait_for_log(qr/FATAL: .*inconsistent page found/);
	pass('control_a_checked_fuse_record_stops_the_standby');

	# its postmaster goes by itself, and may be gone already
	$stopped->stop('immediate', fail_ok => 1);
	$control->stop;
}

done_testing();
