# Every block of README.md but the shell's, in order, on a fresh server, as a reader runs
# them: each in a process of its own and to its end. The server is restarted with each
# block of its configuration. (The shell's blocks are test/check-readme's.)

use strict;
use warnings;

use FindBin;
use lib $FindBin::RealBin;

use BurnNote ();
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

my $readme = slurp_file('README.md');
my $node = PostgreSQL::Test::Cluster->new('readme');
my $database = 'postgres';
my (%run, $told, @tokens);

# A psql that begins where the one before it ended, by \connect say.
sub run_sql
{
	my ($block) = @_;
	my ($status, $stdout, $stderr) =
	  $node->psql($database, "$block\nSELECT current_database();\n", on_error_stop => 1);

	is($status, 0, "readme_sql_works: " . (split /\n/, $block)[0]) or diag($stderr);
	$told .= $stdout;
	($database) = $stdout =~ /(\w+)\z/;
	return;
}

# Lines that are commented out show what else may be set.
sub run_conf
{
	my ($block) = @_;

	$block =~ s/^#//mg;
	$node->append_conf('postgresql.conf', $block);
	$node->restart;
	while ($block =~ /^(\S+) = '(.*?)'/mg)
	{
		is($node->safe_psql('postgres', "SHOW $1"), $2, "readme_conf_works: $1 = $2");
	}
	return;
}

# By the role that the README makes for senders; finds the server as libpq does.
sub run_python
{
	my ($block) = @_;
	my $script = PostgreSQL::Test::Utils::tempdir() . '/readme.py';

	append_to_file($script, $block);
	$node->safe_psql('postgres', 'CREATE USER sender IN ROLE note_sender');
	local %ENV = (%ENV, PGHOST => $node->host, PGPORT => $node->port, PGUSER => 'sender');
	my ($stdout, $stderr) = run_command([ '/usr/bin/python3', $script ]);
	is($stderr, '', 'readme_python_works');
	push @tokens, $stdout =~ /^(bn1_[A-Za-z0-9_-]{56})$/mg;
	return;
}

my %interpreter = (sql => \&run_sql, conf => \&run_conf);
$interpreter{python} = \&run_python
  if system('/usr/bin/python3 -c "import psycopg" 2>/dev/null') == 0;

$node->init(extra => [ '--encoding=UTF8', '--no-locale' ]);
$node->start;

# A list indents its blocks.
while ($readme =~ /^( *)```(\w*)\n(.*?)^\1```$/msg)
{
	my ($indent, $language, $block) = ($1, $2, $3);

	$block =~ s/^$indent//mg;
	$run{$language}++;
	$interpreter{$language}->($block) if defined $interpreter{$language};
}
is(join(' ', sort keys %run), ' conf python sh sql', 'readme_has_no_block_of_another_kind');
is($run{''}, 1, 'and_one_for_another_program: pg_cron');

is(() = $told =~ /^the wifi password$/mg, 1, 'readme_note_is_read_once');
like($told, qr/^read\|.*\|203\.0\.113\.7\|/m, 'readme_receipt_names_the_reader');

SKIP:
{
	skip 'needs /usr/bin/python3 with psycopg 3', 2 unless defined $interpreter{python};

	is(scalar @tokens, $run{python}, 'each_readme_python_block_prints_a_token');
	is($node->safe_psql('app', <<~SQL), "the wifi password\nNULL",
		\\pset null NULL
		SELECT burn_read('$_');
		SELECT burn_read('$_');
		SQL
		'which_opens_a_note_once_for_somebody_else')
	  foreach @tokens;
}

done_testing();
