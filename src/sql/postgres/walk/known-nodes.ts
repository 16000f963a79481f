/**
 * Types of nodes that PostgreSQL's grammar makes, before anything is looked up in a catalog; statements are those of the
 * handlers. SAFETY: a type that is in neither is one that nobody has looked at.
 */
export const KNOWN_NODES: ReadonlySet<string> = new Set(
  (
    "ATAlterConstraint A_ArrayExpr A_Const A_Expr A_Indices A_Indirection A_Star AccessPriv Alias AlterTableCmd " +
    "BitString BoolExpr Boolean BooleanTest CTECycleClause CTESearchClause CaseExpr CaseWhen CoalesceExpr " +
    "CollateClause CollateExpr ColumnDef ColumnRef CommonTableExpr Constraint CreateOpClassItem CurrentOfExpr " +
    "DefElem Float FuncCall FunctionParameter GroupingFunc GroupingSet IndexElem InferClause Integer IntoClause " +
    "JoinExpr JsonAggConstructor JsonArgument JsonArrayAgg JsonArrayConstructor JsonArrayQueryConstructor " +
    "JsonBehavior JsonFormat JsonFuncExpr JsonIsPredicate JsonKeyValue JsonObjectAgg JsonObjectConstructor " +
    "JsonOutput JsonParseExpr JsonReturning JsonScalarExpr JsonSerializeExpr JsonTable JsonTableColumn " +
    "JsonTablePathSpec JsonValueExpr List LockingClause MergeSupportFunc MergeWhenClause MinMaxExpr " +
    "MultiAssignRef NamedArgExpr NullTest ObjectWithArgs OnConflictClause ParamRef PartitionBoundSpec " +
    "PartitionCmd PartitionElem PartitionRangeDatum PartitionSpec PublicationObjSpec PublicationTable " +
    "RangeFunction RangeSubselect RangeTableFunc RangeTableFuncCol RangeTableSample RangeVar ResTarget " +
    "ReturningClause ReturningOption RoleSpec RowExpr SQLValueFunction SetToDefault SortBy StatsElem String " +
    "SubLink TableLikeClause TableSampleClause TriggerTransition TypeCast TypeName VacuumRelation WindowDef " +
    "WithClause XmlExpr XmlSerialize"
  ).split(" "),
);
