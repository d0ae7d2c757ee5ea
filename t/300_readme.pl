# Every SQL and Python block of README.md, in order, on a fresh server.

use strict;
use warnings;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

my $readme = slurp_file('README.md');

# The blocks of one language, without the indentation that a list gives them.
sub blocks
{
	my ($language) = @_;
	my @blocks;
	while ($readme =~ /^( *)```$language\n(.*?)^\1```$/msg)
	{
		my ($indent, $block) = ($1, $2);
		$block =~ s/^$indent//mg;
		push @blocks, $block;
	}
	return @blocks;
}

my $node = PostgreSQL::Test::Cluster->new('readme');
$node->init(extra => [ '--encoding=UTF8', '--no-locale' ]);
$node->start;

my ($status, $output, $errors) =
  $node->psql('postgres', join('', blocks('sql')), on_error_stop => 1);
is($status, 0, 'readme_sql_works') or diag($errors);
is(() = $output =~ /^the wifi password$/mg, 1, 'readme_note_is_read_once');
like($output, qr/^read\|.*\|203\.0\.113\.7\|/m, 'readme_receipt_names_the_reader');

# The Python block, as the role that the README makes for senders.
SKIP:
{
	skip 'needs /usr/bin/python3 with psycopg 3', 1
	  if system('/usr/bin/python3 -c "import psycopg" 2>/dev/null') != 0;

	$node->safe_psql('app', 'CREATE USER sender IN ROLE note_sender');
	my $example = join('', map { "    $_" } map { split /^/ } blocks('python'));
	my $script = PostgreSQL::Test::Utils::tempdir() . '/readme.py';
	append_to_file($script, <<"PYTHON");
import re
import sys

import psycopg

with psycopg.connect(sys.argv[1]) as connection:
    note = "a note from Python"
$example
    assert re.fullmatch(r"bn1_[A-Za-z0-9_-]{56}", token)
PYTHON
	command_ok([ '/usr/bin/python3', $script, $node->connstr('app') . " user=sender options='-csearch_path=notes'" ],
		'readme_python_works');
}

done_testing();
