"""What is measured of generators: pure functions of arrays, that know no files and no loop."""
