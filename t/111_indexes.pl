# Indexes of the extension's tables while they are rebuilt, after a rebuild was cancelled,
# and where somebody has put others beside or in the place of ours.

use strict;
use warnings;

use FindBin;
use lib $FindBin::RealBin;

use Burn;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

my %index = (
	burn_note => 'burn_note_creator_idx',
	burn_receipt => 'burn_receipt_pkey',
	burn_attempt => 'burn_attempt_id_idx',
);

my $node = new_node('indexes');
$node->start;
$node->safe_psql('postgres', 'CREATE EXTENSION burn_note CASCADE');

# Everything that goes through an index, from here to a swept receipt. It takes a new
# session each time, so that nothing was learnt before.
sub works
{
	my ($what) = @_;
	local $Test::Builder::Level = $Test::Builder::Level + 1;

	is(answer_of($node, <<~'SQL'), "NULL\na note\nNULL\nread\n1\nt", $what);
		SET client_min_messages = error;
		SET burn_note.max_pending = 100;
		SELECT burn_create('a note', NULL, 'right') AS token \gset
		SELECT burn_read(:'token', NULL, 'wrong');
		SELECT burn_read(:'token', NULL, 'right');
		SELECT burn_read(:'token', NULL, 'right');
		SELECT state FROM burn_status(:'token');
		SELECT count(*) FROM burn_attempt WHERE id = burn_note_id(:'token');
		SET burn_note.receipt_retention = 1;
		SELECT burn_create('short', '1 ms') AS token, pg_sleep(0.002) \gset
		SELECT burn_purge() > 0;
		SQL
	return;
}

# The indexes of a table, in words, and whether they agree with it
sub indexes
{
	my ($table) = @_;

	return answer_of($node, <<~SQL);
		SELECT string_agg(CASE WHEN indisvalid THEN 'valid' ELSE 'invalid' END, ' ' ORDER BY indisvalid)
		FROM pg_index WHERE indrelid = '$table'::regclass
		SQL
}

works('control_it_works_with_the_indexes_that_are_there');

# While one is rebuilt: REINDEX waits for a transaction that has written to the table
foreach my $table (sort keys %index)
{
	my $writer = $node->background_psql('postgres');
	my $builder = $node->background_psql('postgres', on_error_stop => 0);

	$writer->query_safe("BEGIN; LOCK TABLE $table IN ROW EXCLUSIVE MODE");
	my $pid = $builder->query_safe('SELECT pg_backend_pid()');
	$builder->query_until(qr/rebuilding/,
		"\\echo rebuilding\nREINDEX INDEX CONCURRENTLY $index{$table};\n\\echo :LAST_ERROR_SQLSTATE DONE\n");
	$node->poll_query_until('postgres',
		"SELECT EXISTS (SELECT FROM pg_locks WHERE pid = $pid AND NOT granted)")
	  or die 'REINDEX does not wait';
	works("while_$index{$table}_is_rebuilt_everything_works");

	# After one that was cancelled its index stays, not valid
	$node->safe_psql('postgres', "SELECT pg_cancel_backend($pid)");
	like($builder->query_until(qr/DONE/, ''), qr/^57014 DONE/m, 'the rebuild is cancelled');
	$builder->quit;
	$writer->query_safe('COMMIT');
	$writer->quit;
	like(indexes($table), qr/^invalid /, 'its index is left behind');
	works("after_a_cancelled_rebuild_of_$index{$table}_everything_works");

	$node->safe_psql('postgres', "DROP INDEX $index{$table}_ccnew");
	unlike(indexes($table), qr/invalid/, 'the index that was left behind is gone');
	$node->safe_psql('postgres', "REINDEX INDEX CONCURRENTLY $index{$table}");
	works("after_a_rebuild_of_$index{$table}_everything_works");
}

# Beside ours, indexes that do not have every row, or not in the order that is asked for
$node->safe_psql('postgres', <<~'SQL');
	CREATE INDEX ON burn_attempt (id) WHERE actor = 'nobody';
	CREATE INDEX ON burn_attempt USING hash (id);
	CREATE INDEX ON burn_attempt (id, at);
	CREATE INDEX ON burn_note USING hash (creator);
	CREATE INDEX ON burn_note (creator) WHERE created_at < '2000-01-01';
	CREATE INDEX ON burn_note (creator) INCLUDE (created_at);
	SQL
works('indexes_that_do_not_fit_are_not_taken_for_ours');

# In the place of ours
$node->safe_psql('postgres', 'DROP INDEX burn_note_creator_idx, burn_attempt_id_idx');
is(sqlstate($node, q(SET burn_note.max_pending = 1; SELECT burn_create('x'))), '55000',
	'nor_are_they_where_ours_is_missing: of notes');
$node->safe_psql('postgres', 'CREATE INDEX ON burn_note (creator)');
is(sqlstate($node, 'SELECT burn_purge()'), '55000', 'nor_are_they_where_ours_is_missing: of attempts');
$node->safe_psql('postgres', 'CREATE INDEX ON burn_attempt (id)');
works('an_index_that_fits_takes_the_place_of_ours');

is(answer_of($node, <<~'SQL'), 't', 'an_index_of_every_creator_has_every_note');
	SET client_min_messages = error;
	SELECT burn_create('kept') AS token \gset
	SET enable_seqscan = off; SET enable_bitmapscan = off;
	SELECT count(*) = (SELECT count(*) FROM burn_note WHERE creator IS NOT NULL) + 1 FROM burn_note;
	SQL

done_testing();
