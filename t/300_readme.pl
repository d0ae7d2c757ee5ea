# Every block of README.md, CONTRIBUTING.md and of docs/ but the shell's, as a reader runs them: those of a
# page in their order, on a fresh server, after those of the pages that it presumes; each in
# a process of its own and to its end. The server is restarted with each block of its
# configuration. (The shell's blocks are test/check-readme's.)

use strict;
use warnings;

use File::Basename qw(dirname);
use FindBin;
use lib $FindBin::RealBin;

use BurnNote ();
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

my @pages = ('README.md', 'CONTRIBUTING.md', sort glob('docs/*.md'));
my $has_psycopg = system('/usr/bin/python3 -c "import psycopg" 2>/dev/null') == 0;

# The page's server, the database that the reader's psql is in, what psql answered, and
# Python.
my ($node, $database, $told, @tokens);

# The page's blocks, each with its language. A list indents its blocks.
sub blocks
{
	my ($page) = @_;
	my $text = slurp_file($page);
	my @blocks;

	while ($text =~ /^( *)```(\w*)\n(.*?)^\1```$/msg)
	{
		my ($indent, $language, $block) = ($1, $2, $3);

		push @blocks, [ $language, $block =~ s/^$indent//mgr ];
	}
	return @blocks;
}

# The pages whose blocks the reader has run before, by their links in the page's sentence
# on that.
sub presumed
{
	my ($page) = @_;
	my ($sentence) = slurp_file($page) =~ /^The commands here presume (.*?)\.(?:\s|\z)/ms;

	return map { (dirname($page) . "/$_") =~ s{^\./|^docs/\.\./}{}r }
	  ($sentence // '') =~ /\]\(([^)#]+)[^)]*\)/g;
}

# A psql that begins where the one before it ended, by \connect say.
sub run_sql
{
	my ($page, $block) = @_;
	my ($status, $stdout, $stderr) =
	  $node->psql($database, "$block\nSELECT current_database();\n", on_error_stop => 1);

	is($status, 0, "sql_of_${page}_works: " . (split /\n/, $block)[0]) or diag($stderr);
	$told .= $stdout;
	($database) = $stdout =~ /(\w+)\z/;
	return;
}

# Lines that are commented out show what else may be set.
sub run_conf
{
	my ($page, $block) = @_;

	$block =~ s/^#//mg;
	$node->append_conf('postgresql.conf', $block);
	$node->restart;
	while ($block =~ /^(\S+) = '(.*?)'/mg)
	{
		is($node->safe_psql('postgres', "SHOW $1"), $2, "conf_of_${page}_works: $1 = $2");
	}
	return;
}

# By the role that docs/operations.md makes for senders; finds the server as libpq does.
sub run_python
{
	my ($page, $block) = @_;
	my $script = PostgreSQL::Test::Utils::tempdir() . '/' . $node->name . '.py';

	append_to_file($script, $block);
	$node->safe_psql('postgres', 'CREATE USER sender IN ROLE note_sender');
	local %ENV = (%ENV, PGHOST => $node->host, PGPORT => $node->port, PGUSER => 'sender');
	my ($stdout, $stderr) = run_command([ '/usr/bin/python3', $script ]);
	is($stderr, '', "python_of_${page}_works");
	push @tokens, $stdout =~ /^(bn1_[A-Za-z0-9_-]{56})$/mg;
	return;
}

my %interpreter = (sql => \&run_sql, conf => \&run_conf);
$interpreter{python} = \&run_python if $has_psycopg;

sub run_page
{
	my ($page) = @_;

	run_page($_) foreach presumed($page);
	foreach (blocks($page))
	{
		my ($language, $block) = @$_;

		$interpreter{$language}->($page, $block) if defined $interpreter{$language};
	}
	return;
}

# Its settings and their defaults are the server's.
sub is_table_of_settings
{
	my ($page) = @_;
	my @rows = slurp_file($page) =~ /^(\| `burn_note\.\w+` \| \S+ \|)/mg;

	is(join("\n", sort @rows), $node->safe_psql('postgres', <<~'SQL'), "${page}_has_every_setting");
		SELECT format('| `%s` | %s |', name, CASE vartype WHEN 'string' THEN quote_literal(boot_val) ELSE current_setting(name) END)
		FROM pg_settings
		WHERE name LIKE 'burn\_note.%'
		ORDER BY name COLLATE "C"
		SQL
	return;
}

# What the page's Python created can be read once, by somebody else.
sub open_tokens
{
	my ($page) = @_;
	my $scripts = grep { $_->[0] eq 'python' } blocks($page);

  SKIP:
	{
		skip 'needs /usr/bin/python3 with psycopg 3', 2 * $scripts unless $has_psycopg;
		cmp_ok(scalar @tokens, '>=', $scripts, "each_python_block_of_${page}_prints_a_token");
		is($node->safe_psql('app', <<~SQL), "the wifi password\nNULL", 'which_opens_a_note_once')
			\\pset null NULL
			SELECT burn_read('$_');
			SELECT burn_read('$_');
			SQL
		  foreach @tokens;
	}
	return;
}

my %count;
$count{ $_->[0] }++ foreach map { blocks($_) } @pages;
is(join(' ', sort keys %count), ' conf python sh sql', 'no_page_has_a_block_of_another_kind');
is($count{''}, 1, 'and_one_is_for_another_program: pg_cron');

foreach my $page (grep { grep { $_->[0] ne 'sh' } blocks($_) } @pages)
{
	($database, $told, @tokens) = ('postgres', '');
	$node = PostgreSQL::Test::Cluster->new($page =~ s/\W/_/gr);
	$node->init(extra => [ '--encoding=UTF8', '--no-locale' ]);
	$node->start;
	run_page($page);

	if ($page eq 'README.md')
	{
		is(() = $told =~ /^the wifi password$/mg, 1, 'note_of_README_is_read_once');
		like($told, qr/^read\|.*\|203\.0\.113\.7\|/m, 'its_receipt_names_the_reader');
	}
	is_table_of_settings($page) if $page eq 'docs/settings.md';
	open_tokens($page);
	$node->stop;
}

done_testing();
