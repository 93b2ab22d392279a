/**
 * How many columns show `count` pictures largest in a stage of this size. Pure.
 * aspect: width by height of one picture.
 */
export function gridColumns(count: number, width: number, height: number, aspect = 4 / 3): number {
  let best = { columns: 1, tile: 0 };
  for (let columns = 1; columns <= count; columns++) {
    const rows = Math.ceil(count / columns);
    const tile = Math.min(width / columns, (height / rows) * aspect);
    if (tile > best.tile) best = { columns, tile };
  }
  return best.columns;
}
