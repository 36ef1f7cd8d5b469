//! A run folder that has lost a table is never read as if it were complete.

use audsem_core::testing::finished_run;

use crate::workbench::Bench;

#[test]
fn a_set_that_has_lost_a_table_is_refused_by_every_command() {
    let bench = Bench::new();
    bench.audio("one.parquet", &[("a", vec![1.0, 0.0]), ("b", vec![0.0, 1.0])]);
    bench.audio("two.parquet", &[("c", vec![1.0, 1.0])]);
    let [one, two] = ["one.parquet", "two.parquet"].map(|name| std::fs::read(bench.path(name)).unwrap());
    finished_run(&bench.path("set"), &[("part-00000.parquet", &one), ("part-00001.parquet", &two)]).unwrap();
    bench.call("contamination -i set -o whole").ended(0);
    std::fs::remove_file(bench.path("set/part-00001.parquet")).unwrap();
    for command in [
        "reference build --reference set",
        "score -i set --reference one.parquet",
        "score -i one.parquet --reference set",
        "contamination -i set",
        "contamination -i one.parquet --benchmark set",
        "match --audio set --text set",
        "report -i set",
    ] {
        bench.call(&format!("{command} -o out")).ended(2).says("part-00001.parquet is missing");
        assert!(!bench.path("out").exists(), "{command}");
    }
}
