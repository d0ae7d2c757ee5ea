# ANALYZE copies values of a column into pg_statistic, where they outlive their row: not
# those of a note.

use strict;
use warnings;

use FindBin;
use lib $FindBin::RealBin;

use Burn;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

my $node = new_node('analyzed');

$node->start;
$node->safe_psql('postgres', 'CREATE EXTENSION burn_note CASCADE; CREATE EXTENSION pageinspect');
$node->safe_psql('postgres', "SELECT burn_create('note ' || i) FROM generate_series(1, 200) AS i");

# Every note's key half and ciphertext, as bytes
my @secrets = map { pack('H*', $_) } split /\n/, $node->safe_psql(
	'postgres', <<~'SQL');
	SELECT encode(substr(t_data, 25 + 12, 32), 'hex')
	FROM pg_relation_size('burn_note') AS bytes, generate_series(0, bytes / 8192 - 1) AS page,
		heap_page_items(get_raw_page('burn_note', page::int))
	WHERE t_data IS NOT NULL
	UNION ALL
	SELECT encode(sealed, 'hex') FROM burn_note
	SQL
is(scalar @secrets, 400, 'the_test_knows_every_key_half_and_ciphertext');

# How many of them are in these tables' files
sub found_in
{
	my (@tables) = @_;
	my $list = join(',', map { "'$_'::regclass" } @tables);

	$node->safe_psql('postgres', 'CHECKPOINT');
	my $files = $node->safe_psql('postgres',
		"SELECT pg_relation_filepath(oid) FROM pg_class WHERE oid IN ($list) OR
			oid IN (SELECT reltoastrelid FROM pg_class WHERE oid IN ($list))");
	my $bytes = join('', map { slurp_file($node->data_dir . "/$_") } split /\n/, $files);
	return scalar grep { index($bytes, $_) >= 0 } @secrets;
}

sub columns_with_statistics
{
	return $node->safe_psql('postgres', q{
		SELECT string_agg(attname, ' ' ORDER BY attnum)
		FROM pg_statistic JOIN pg_attribute ON attrelid = starelid AND attnum = staattnum
		WHERE starelid = 'burn_note'::regclass});
}

is(found_in('burn_note'), 400, 'control_the_search_finds_them_in_burn_note');

foreach my $how ('ANALYZE', 'ANALYZE burn_note', 'VACUUM ANALYZE burn_note', 'ANALYZE burn_note (id, fuse, sealed)')
{
	$node->safe_psql('postgres', $how);
	is(columns_with_statistics(), 'id created_at', "$how: only id and created_at have statistics");
}
is(found_in('pg_statistic'), 0, 'nothing_of_a_key_half_or_ciphertext_is_in_pg_statistic');
is( $node->safe_psql('postgres', "SELECT count(*) FROM pg_stats
		WHERE tablename = 'burn_note' AND attname IN ('fuse', 'sealed')"),
	'0', 'nor_in_pg_stats');

$node->safe_psql('postgres', 'SET default_statistics_target = 10000; ANALYZE burn_note');
is(columns_with_statistics(), 'id created_at', 'default_statistics_target_does_not_matter');

# The control: without SET STATISTICS 0 they are
$node->safe_psql('postgres', 'ALTER TABLE burn_note ALTER fuse SET STATISTICS -1;
	ALTER TABLE burn_note ALTER sealed SET STATISTICS -1; ANALYZE burn_note');
cmp_ok(found_in('pg_statistic'), '>', 0, 'control_with_statistics_ciphertext_is_in_pg_statistic');

done_testing();
